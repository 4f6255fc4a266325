"""What goes wrong where a discriminator trains a generator: noticed, said once, and recorded."""

from ignite.engine import Engine, Events

from genbench import parallel
from genbench.console import say
from genbench.evaluate import EVAL_SEED
from genbench.images import to_bytes
from genbench.metrics import stability
from genbench.model import Model
from genbench.record import Run

PICTURES = 500  # at most so many of each side


def attach_health(trainer: Engine, evaluator: Engine, model: Model, run: Run) -> None:
    """Add to every validation how varied the samples are and whether D knows its pictures by heart.

    spread, nearest: `stability.diversity` of samples, in units of as many training pictures.
    histogram_kl: between the colours of held-out pictures and samples, nats a pixel.
    accuracy_train, accuracy_ratio: the discriminator's area under the ROC curve on as many training
    pictures, and its ratio to that on held-out ones; above 1 it memorises.

    A collapse and a saturated discriminator may pass: they are said, and kept as `events` in
    summary.json. (A scalar that is not finite cannot: `attach_validation` ends the run.)
    """
    train, val = model.data.splits["train"], model.data.splits["val"]
    some = train.take(train.spread(PICTURES))
    new = val.take(val.spread(PICTURES)).images
    trained_on, held_out = some.images.cpu().numpy(), new.cpu().numpy()
    few = some.take(some.spread(len(new)))  # neighbours may be of one class
    known, of_known = few.images.float() / 255, few.labels
    z = model.draw_z(len(trained_on), EVAL_SEED)
    y = model.classes.draw(len(trained_on), EVAL_SEED)
    events: dict[str, int] = run.summary.setdefault("events", {})

    def notice(what: str, is_so: bool) -> None:
        if is_so and what not in events:
            events[what] = trainer.state.epoch
            run.event(what, model.state.step, trainer.state.epoch)
            say(f"epoch {trainer.state.epoch}: {what}; the training goes on")

    @evaluator.on(Events.EPOCH_COMPLETED)
    def examine() -> None:
        metrics = evaluator.state.metrics
        metrics["accuracy_train"] = model.eval_scalars(known, of_known, EVAL_SEED)["accuracy"]
        metrics["accuracy_ratio"] = metrics["accuracy_train"] / max(metrics["accuracy"], 1e-3)
        samples = to_bytes(model.generate(z, y))
        metrics |= parallel.first(
            lambda: {
                **stability.diversity(samples, trained_on),
                "histogram_kl": stability.histogram_kl(held_out, samples),
            }
        )
        alike = stability.collapsed(metrics["spread"], metrics["nearest"])
        notice("the samples have collapsed", alike and trainer.state.epoch > stability.INFANCY)

    @trainer.on(Events.EPOCH_COMPLETED)
    def saturation() -> None:
        last = trainer.state.metrics  # of the steps since the last log
        if "d_real" not in last:
            return  # none of them judged reals
        gap = last["d_real"] - last["d_fake"]
        notice("the discriminator is saturated", gap > stability.SATURATED)
