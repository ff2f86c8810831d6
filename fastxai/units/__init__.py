"""What excites each unit of a network: strongest images, receptive fields, filters, dead units."""
