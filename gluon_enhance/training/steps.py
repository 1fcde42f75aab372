"""What is done with one batch: a step is called with a batch and returns what to log."""

from __future__ import annotations

from gluon_enhance.framework import mx


class SupervisedStep:
    """Descend one loss between a net's output and the truth.

    Parameters
    ----------
    net : HybridBlock
    loss : gluon.loss.Loss
        ``loss(pred, label)`` -> one value per sample.
    trainer : gluon.Trainer
    ctx : mxnet.Context
    ema_decay : float
        Final decay of the moving average of the parameters, kept in `ema` by structural name. It
        grows up to this, so that the start is soon forgotten.
    """

    def __init__(self, net, loss, trainer, ctx, ema_decay=0.999):
        self.net = net
        self.loss = loss
        self.trainer = trainer
        self.ctx = ctx
        self.ema_decay = ema_decay
        self.parameters = net._collect_params_with_prefix()
        self.ema = {name: p.data().copy() for name, p in self.parameters.items()}

    def __call__(self, batch):
        lr, hr = (mx.nd.array(array, ctx=self.ctx) for array in batch)
        with mx.autograd.record():
            loss = self.loss(self.net(lr), hr)
        loss.backward()
        self.trainer.step(len(lr))
        updates = self.trainer.optimizer.num_update
        decay = min(self.ema_decay, (1 + updates) / (10 + updates))
        for name, average in self.ema.items():
            average *= decay
            average += (1 - decay) * self.parameters[name].data()
        return {"loss": loss.mean()}

    def with_ema(self, function):
        """Call a function while the net holds the averaged parameters; return its result."""
        current = {name: p.data().copy() for name, p in self.parameters.items()}
        self._set(self.ema)
        try:
            return function()
        finally:
            self._set(current)

    def _set(self, arrays):
        for name, parameter in self.parameters.items():
            parameter.set_data(arrays[name])
