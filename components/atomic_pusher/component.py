"""AtomicPusher: TFX's Pusher, whose versions appear whole."""

from tfx.components.pusher import component
from tfx.dsl.components.base import executor_spec

from muwnet_fer.components.atomic_pusher import executor


class AtomicPusher(component.Pusher):
    """Takes and gives what TFX's Pusher does."""

    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)
