"""How well a picture shows what was put in."""
