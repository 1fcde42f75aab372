import json

import pytest

from gluon_enhance.training.gan import DynamicBalance, FixedRatio


def decisions(balance, generator_losses, critic_loss=None):
    """Whether the critics learn in each step, when they then have this loss."""
    learned = []
    for loss in generator_losses:
        learned.append(balance.critics_learn(loss))
        if learned[-1] and critic_loss is not None:
            balance.note_critics(critic_loss)
    return learned


def test_critics_of_normal_strength_learn_in_every_step():
    assert decisions(DynamicBalance(0.5), [0.01] * 20, critic_loss=1.3) == [True] * 20


def test_too_strong_critics_learn_in_one_step_of_three_once_five_losses_say_so():
    learned = decisions(DynamicBalance(0.5), [0.01] * 14, critic_loss=0.1)
    assert learned == [True] * 5 + [False, False, True] * 3


def test_window_and_ratio_are_options():
    balance = DynamicBalance(0.5, window=2, ratio=2)
    assert decisions(balance, [0.01] * 6, critic_loss=0.1) == [True] * 2 + [False, True] * 2


def test_strength_is_the_mean_of_the_last_losses():
    balance = DynamicBalance(0.5)
    assert all(decisions(balance, [0.01] * 5, critic_loss=0.1))
    learned = decisions(balance, [0.01] * 4, critic_loss=2.3)
    # (4 * 0.1 + 2.3) / 5 = 0.54, after the one update that was still held back.
    assert learned == [False, False, True, True]


def test_side_above_holds_critics_back_whose_loss_exceeds_the_threshold():
    weak = decisions(DynamicBalance(0.5, critic_side="above"), [0.01] * 8, critic_loss=1.3)
    assert weak == [True] * 5 + [False, False, True]
    strong = decisions(DynamicBalance(0.5, critic_side="above"), [0.01] * 8, critic_loss=0.1)
    assert strong == [True] * 8


def test_critics_wait_while_the_generators_diverge_until_each_of_five_losses_is_low():
    balance = DynamicBalance(0.5)
    assert decisions(balance, [0.01, 0.01, 0.01, 0.01, 0.01]) == [True] * 5
    # Means of the last five: 0.014 and 0.018, of which the second is over 0.015.
    assert decisions(balance, [0.03, 0.03]) == [True, False]
    # The mean is 0.014 after the third of these, but 0.03 is among the five up to the fourth.
    assert decisions(balance, [0.01, 0.01, 0.01, 0.01, 0.01]) == [False] * 4 + [True]


def test_state_carries_on_where_it_was():
    losses = [0.01, 0.02, 0.01, 0.03, 0.01, 0.02, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01]
    whole = decisions(DynamicBalance(0.5), losses, critic_loss=0.1)
    assert True in whole[7:] and False in whole[7:]
    first = DynamicBalance(0.5)
    learned = decisions(first, losses[:7], critic_loss=0.1)
    second = DynamicBalance(0.5)
    second.state = json.loads(json.dumps(first.state))
    assert learned + decisions(second, losses[7:], critic_loss=0.1) == whole


def test_unknown_side_is_an_error():
    with pytest.raises(ValueError, match="'left'; give 'below' or 'above'"):
        DynamicBalance(0.5, critic_side="left")


@pytest.mark.parametrize(
    ("ratio", "generators", "critics"),
    [("3:1", "111111", "001001"), ("1:3", "001001", "111111"), ("2:3", "011011", "111111")],
)
def test_a_fixed_ratio_spreads_the_turns_evenly(ratio, generators, critics):
    balance, turns = FixedRatio(ratio), []
    for _ in range(6):
        turns.append((balance.generators_learn(), balance.critics_learn(0.0)))
    assert ["".join(str(int(turn)) for turn in who) for who in zip(*turns)] == [generators, critics]


def test_a_fixed_ratio_carries_on_where_it_was():
    first, second = FixedRatio("3:1"), FixedRatio("3:1")
    first.generators_learn()
    second.state = json.loads(json.dumps(first.state))
    learned = [second.generators_learn() and second.critics_learn(0.0) for _ in range(4)]
    assert learned == [False, True, False, False]


@pytest.mark.parametrize("ratio", ["3", "0:1", "3:-1", "a:b", "3:1:1"])
def test_what_is_no_ratio_is_an_error(ratio):
    with pytest.raises(ValueError, match=f"--ratio is '{ratio}'; give two numbers"):
        FixedRatio(ratio)
