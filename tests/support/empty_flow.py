"""The graph of flows/train.py with empty steps: tests/bench/flow.py times its orchestration."""

from metaflow import FlowSpec, card, catch, retry, step, timeout


class EmptyFlow(FlowSpec):
    @step
    def start(self):
        self.next(self.validate)

    @step
    def validate(self):
        self.next(self.eda)

    @card(type="blank", id="eda")
    @step
    def eda(self):
        self.next(self.split)

    @step
    def split(self):
        self.arms = list(range(5))
        self.next(self.tune, foreach="arms")

    @catch(var="failure", print_exception=False)
    @timeout(hours=12)
    @retry(times=1, minutes_between_retries=0)
    @card(type="blank", id="arm", refresh_interval=5)
    @step
    def tune(self):
        self.next(self.select)

    @card(type="blank", id="leaderboard")
    @step
    def select(self, inputs):
        self.next(self.evaluate)

    @card(type="blank", id="evaluation")
    @step
    def evaluate(self):
        self.next(self.record)

    @step
    def record(self):
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    EmptyFlow()
