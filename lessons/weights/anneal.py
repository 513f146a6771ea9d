"""Lets the learning rate of a run fall to 0, and saves it. A run that was stopped before its last step ends better so.

python lessons/weights/anneal.py runs/lesson-05 700
"""

import sys

from minigen.backend import workspace
from minigen.training import Run

if __name__ == "__main__":
    folder, steps = sys.argv[1], int(sys.argv[2])
    run = Run.resume(folder)
    first, (adam,) = run.step, run.model.optimizers.values()
    top = adam.current_rate
    adam.rate = lambda t: top * (1 - (t - first) / steps)
    with workspace():
        while run.step < first + steps:
            terms = run.model.step(run.model.batch_of(next(run.batches)), run.key.at("step", run.step))
            run.log.add({name: float(value) for name, value in terms.items()})
            run.step += 1
    run.save()
    means = {name: round(value, 2) for name, value in run.log.means().items()}
    print(f"{folder}: {steps} steps from a rate of {top:.2g} to 0; the terms meanwhile {means}")
