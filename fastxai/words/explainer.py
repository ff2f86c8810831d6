"""`TextExplainer`: words about images, by a second model that reads the first one's maps."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from .._checks import check_number, check_whole
from ..errors import InvalidInputError
from ..examples.features import torch_threads
from ..explain.explainer import check_reading, tell_problems
from ..progress import Progress, open_progress
from .decoder import Decoder
from .features import FeatureRecorder, Places, Recorded
from .pairs import learnable, read_pairs, status_of
from .result import OK, TextExplanation, TextExplanations, nothing_said
from .search import Said, read, search
from .training import Curve, Options, train
from .vocabulary import text_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_STEPS = 600  # of training, at least, unless the epochs are given
_EPOCHS = 12  # ... and epochs, at least
_TOGETHER = 64  # images that sentences are searched for together


class TextExplainer:
    """Explain images in words: a decoder with attention, trained on the user's own texts.

    The lecture's second model (Xu et al. 2015, "Show, attend and tell"): the network's feature
    maps of a layer are recorded once and stay as they are; a small recurrent decoder learns to
    say the texts by looking at places of them.  What it says is what can be read off these
    features, not why the network decided as it did; see the page on text explanations.

    Parameters
    ----------
    model : Module
        Any network for images; it is run in eval mode and left as it came.
    layer : str or Module, optional
        Whose feature maps are read; by default the last convolution's.
    call, reshape, output, wrt
        As for `fastxai.GradCAM`.
    width : int, default 128
        Of the decoder's recurrent state.
    min_count : int, default 1
        Words that come less often in the texts are read as one unknown word, never said.
    validation : float, default 0.1
        Share of the pairs that is held out of training, to end it when these are no better
        read; 0 for none.
    epochs : int, optional
        Passes over the pairs, at most; by default 12, of few pairs as many as make 600 steps.
    patience : int, optional
        Epochs without improvement after which training ends; by default a third of ``epochs``.
    batch_size : int, default 64
        Pairs in a step of training.
    learning_rate : float, default 0.004
        Of Adam, at the height of its one cycle.
    look_cost : float, default 0.02
        What a look costs in training, in nats a word: words that need none are said without.
    random_state : int, default 0
        Of the decoder's start, the order of training, and which pairs are held out.  The same
        number gives the same bits whatever the number of threads, as far as the network itself
        does: the decoder is trained and read on one.
    verbose : bool, default False
        Show progress.

    Attributes
    ----------
    vocabulary_ : tuple of str
        The words that the decoder can say, the most frequent first.
    layer_ : str
        The name of the layer that is read.
    curve_ : Curve
        Training and validation loss of each epoch, and which was best.
    held_out_ : ndarray of bool
        Which pairs were held out.

    Examples
    --------
    >>> import fastxai
    >>> from fastxai.words import scenes
    >>> network = scenes.network(count=300, epochs=1)
    >>> data = scenes.scenes(40, things=1)
    >>> explainer = fastxai.TextExplainer(network.model, epochs=1)
    >>> told = explainer.fit(data.images, data.texts).score(data.images[:3], data.texts[:3])
    >>> len(told.texts), told[0].attention.shape[1:]
    (3, (14, 14))
    """

    def __init__(
        self,
        model: Any,
        layer: Any = None,
        *,
        call: int | None = None,
        reshape: Any = None,
        output: Any = None,
        wrt: Any = None,
        width: int = 128,
        min_count: int = 1,
        validation: float = 0.1,
        epochs: int | None = None,
        patience: int | None = None,
        batch_size: int = 64,
        learning_rate: float = 0.004,
        look_cost: float = 0.02,
        random_state: int = 0,
        verbose: bool = False,
    ) -> None:
        if isinstance(layer, (list, tuple, set, frozenset)):
            raise InvalidInputError("layer= names several layers: the decoder reads one")
        check_reading(call, reshape)
        counts = {"width": width, "min_count": min_count, "batch_size": batch_size}
        given = {"epochs": epochs, "patience": patience}
        counts |= {name: value for name, value in given.items() if value is not None}
        for name, value in counts.items():
            check_whole(name, value, 1)
        check_number("validation", validation, 0.0, high=0.9)
        check_number("learning_rate", learning_rate, 0.0, above=True)
        check_number("look_cost", look_cost, 0.0)
        check_whole("random_state", random_state, 0)
        self.layer, self.call, self.reshape = layer, call, reshape
        self.output, self.wrt, self.width, self.min_count = output, wrt, width, min_count
        self.validation, self.epochs, self.patience = validation, epochs, patience
        self.batch_size, self.learning_rate, self.look_cost = batch_size, learning_rate, look_cost
        self.random_state, self.verbose = random_state, verbose
        self._recorder = FeatureRecorder(
            model, layer, call=call, reshape=reshape, output=output, wrt=wrt, verbose=verbose
        )
        self.model = self._recorder.model
        self._decoder: Decoder | None = None

    def fit(self, images: Any, texts: Any) -> TextExplainer:
        """Learn to say texts about images.

        Parameters
        ----------
        images : Tensor, ndarray, or tuple or mapping of them
            (N, C, *spatial), floating, of one size, prepared as for the model.
        texts : sequence of N str
            A line about each.

        Returns
        -------
        TextExplainer
            Itself.

        Raises
        ------
        InvalidInputError
            Fewer than two pairs, numbers of images and texts that differ, texts without a word
            or all the same, and features in which nothing can be read: of a single place, of
            constant value, or NaN.
        """
        with open_progress(self.verbose) as progress:
            vocabulary, numbers = learnable(images, texts, self.min_count)
            recorded = self._recorder.record(images)
            held = self._held_out(len(numbers))
            places = Places.of(recorded, (~held).nonzero().flatten())
            rows = places.rows(recorded.maps)
            decoder, curve = self._train(rows, numbers, held, len(vocabulary), progress)
        self._decoder, self._places, self._words = decoder, places, vocabulary
        self._longest = max(map(len, numbers))
        self.vocabulary_, self.layer_, self.curve_ = vocabulary.words, recorded.layer.name, curve
        self.held_out_ = held.numpy()
        return self

    def explain(self, images: Any, beam: int = 1, max_words: int | None = None) -> TextExplanations:
        """Say what is on images.

        Parameters
        ----------
        images
            As for `fit`, of the same size.
        beam : int, default 1
            How many sentences are followed at once: 1 takes the most probable word each time,
            more find more probable sentences, and return them beside the best.
        max_words : int, optional
            In a sentence, at most; by default twice as many as the longest text of training.

        Returns
        -------
        TextExplanations

        Raises
        ------
        InvalidInputError
            Before `fit`, and for images whose feature maps have another size.
        """
        check_whole("beam", beam, 1)
        most = 2 * self._longest if max_words is None and self._decoder else max_words or 1
        check_whole("max_words", most, 1)
        decoder, recorded, rows = self._record(images)

        def one(part: Tensor) -> list[list[Said]]:
            return search(decoder, part, beam, most)

        found = [said for part in rows.split(_TOGETHER) for said in self._read(one, part)]
        items = []
        for row, said in enumerate(found):
            status = OK if said[0].ended else "unfinished"
            others = tuple((text_of(self._spoken(s)), s.log_probability) for s in said[1:])
            items.append(self._item(said[0], recorded, row, status, self._spoken(said[0]), others))
        return self._finished(items, recorded)

    def score(self, images: Any, texts: Any) -> TextExplanations:
        """How probable given texts are, word by word, and where each word would look.

        Words that were not in training are read as one unknown word.  A text without a single
        known word has the status ``"no_known_word"`` and NaN for probabilities.

        Parameters
        ----------
        images, texts
            As for `fit`.

        Returns
        -------
        TextExplanations
            Of the given texts.
        """
        spoken = read_pairs(images, texts)
        decoder, recorded, rows = self._record(images)
        numbers = [self._words.encode(words) for words in spoken]

        def one(part: Tensor, texts: list[list[int]]) -> list[Said]:
            return read(decoder, part, texts)

        found: list[Said] = []
        for first in range(0, len(rows), _TOGETHER):
            last = first + _TOGETHER
            found += self._read(one, rows[first:last], numbers[first:last])
        items = [
            self._item(said, recorded, row, status_of(said.words), words)
            for row, (said, words) in enumerate(zip(found, spoken, strict=True))
        ]
        return self._finished(items, recorded)

    def learning_curve(self, path: Any = None) -> Figure:
        """Draw how training went; ``path`` ends in .png, .pdf or .svg."""
        from .picture import draw_curve

        self._fitted()
        return draw_curve(self.curve_, path)

    def save(self, path: str | Path) -> None:
        """Write the decoder to a .npz file: arrays and JSON, nothing of the model but a hash."""
        from .files import save

        save(self, path)

    @classmethod
    def load(cls, path: str | Path, model: Any, *, reshape: Any = None) -> TextExplainer:
        """Read a decoder that `save` wrote, for the model that it was trained on.

        Raises
        ------
        InvalidInputError
            The file is none of ours, or was trained on another model: its weights differ.
        """
        from .files import load

        return load(cls, path, model, reshape)

    def _held_out(self, n: int) -> Tensor:
        count = round(self.validation * n)
        count = min(max(count, 1), n - 1) if self.validation else 0
        held = torch.zeros(n, dtype=torch.bool)
        held[np.random.default_rng(self.random_state).permutation(n)[:count]] = True
        return held

    def _train(
        self, rows: Tensor, texts: list[list[int]], held: Tensor, n_words: int, progress: Progress
    ) -> tuple[Decoder, Curve]:
        steps = -(-int((~held).sum()) // self.batch_size)
        epochs = self.epochs or max(_EPOCHS, -(-_STEPS // steps))
        options = Options(
            epochs,
            self.patience or max(3, epochs // 3),
            self.batch_size,
            self.learning_rate,
            self.look_cost,
            self.random_state,
        )
        with (
            torch_threads(1),
            torch.inference_mode(False),
            torch.enable_grad(),
            torch.autocast(rows.device.type, enabled=False),
            torch.random.fork_rng(devices=[]),
        ):
            torch.manual_seed(self.random_state)
            decoder = Decoder(rows.shape[2], n_words, self.width).to(rows.device, torch.float32)
            return decoder, train(decoder, rows, texts, held, options, progress)

    def _fitted(self) -> Decoder:
        if self._decoder is None:
            raise InvalidInputError("the decoder has learned nothing yet: call fit(images, texts)")
        return self._decoder

    def _record(self, images: Any) -> tuple[Decoder, Recorded, Tensor]:
        """The decoder, what the network gave, and its rows."""
        decoder = self._fitted()
        recorded = self._recorder.record(images)
        size, grid = tuple(recorded.maps.shape[1:]), self._places.grid
        wanted = (len(self._places.mean), *grid)
        if size != wanted:
            raise InvalidInputError(
                f"layer {recorded.layer.name!r} gives maps {size} for these images, and the "
                f"decoder was trained on {wanted}: give images of the size that it was trained on"
            )
        maps = torch.nan_to_num(recorded.maps, nan=0.0, posinf=0.0, neginf=0.0)
        return decoder, recorded, self._places.rows(maps)

    @staticmethod
    def _read(work: Any, *given: Any) -> Any:
        place = given[0].device.type
        with torch_threads(1), torch.no_grad(), torch.autocast(place, enabled=False):
            return work(*given)

    def _spoken(self, said: Said) -> list[str]:
        return [self._words[number] for number in said.words]

    def _item(
        self,
        said: Said,
        recorded: Recorded,
        row: int,
        status: str,
        words: list[str],
        others: tuple[tuple[str, float], ...] = (),
    ) -> TextExplanation:
        """What is told of an image."""
        size, grid = tuple(recorded.images.shape[2:]), self._places.grid
        if not bool(torch.isfinite(recorded.maps[row]).all()):
            return nothing_said(size, grid)
        logs = said.log_probabilities.double().cpu().numpy()
        if status == "no_known_word":
            logs = np.full(len(logs), np.nan)
        return TextExplanation(
            text_of(words),
            tuple(words),
            np.exp(logs[: len(words)]).astype(np.float32),
            float(np.exp(logs[-1])) if said.ended else np.nan,
            float(logs.sum()),
            said.attention.cpu().numpy().reshape(len(words), *grid),
            size,
            status,
            others,
        )

    @staticmethod
    def _finished(items: list[TextExplanation], recorded: Recorded) -> TextExplanations:
        found = TextExplanations(tuple(items), recorded.images)
        tell_problems(found.problems())
        return found
