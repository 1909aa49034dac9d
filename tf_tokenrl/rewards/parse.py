"""From words to rewards: a name, or an expression in names and numbers."""

import ast
import inspect
import operator
import sys

from tf_tokenrl import catalog, schedules
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.rewards.base import Function, Reward
from tf_tokenrl.schedules import Schedule
from tf_tokenrl.schedules.parse import read


def get(name: str, /, *arguments, **options) -> Reward:
    """The reward called `name`, or the user's "module:Class".

    A reward of rewards takes them as arguments: `get("clip", rouge, high=1)`.
    "module:function" works too: the function is called with the example, the
    response and the options.

    Raises:
        TokenRLError: unknown name, an option the reward does not take, or a
            class that is no `Reward`.
    """
    family = sys.modules[__package__]
    found = catalog.find(family, name)
    if not isinstance(found, type) and callable(found) and not arguments:
        return Function(found, **options)
    if not (isinstance(found, type) and issubclass(found, Reward)):
        raise TokenRLError(
            f'"{name}" is not a reward: derive it from '
            "tf_tokenrl.rewards.Reward, or name a function."
        )
    return catalog.create(family, name, *arguments, **options)


def parse(expression: str) -> Reward:
    """The reward that an expression describes; nothing is evaluated.

        rouge(variant='l') + 0.1 * length(target=12) - 0.05 * kl
        0.3 * 'my_module:Politeness'(weight=2)
        dense(bleu - 0.1 * 'my_module:Rudeness')
        clip(rouge, low=0, high=1) - adaptive(0.1, target=6) * kl

    Rewards are added, subtracted and scaled by numbers and schedules. Options
    are written by name and are literals; a reward of rewards takes
    expressions, by name or in order, for the parameters that its constructor
    annotates with `Reward`.

    Raises:
        TokenRLError: bad syntax, an unknown reward, or an option that is not
            a literal; the message says at which character.
    """
    line = " ".join(expression.splitlines())
    source = line.strip()
    reader = _Reader(source, len(line) - len(line.lstrip()))
    try:
        tree = ast.parse(source, mode="eval")
    except (SyntaxError, ValueError) as error:
        offset = getattr(error, "offset", None) or len(source) + 1
        raise reader.error(offset - 1, f"{error.args[0]}") from error
    reward = reader.value(tree.body)
    if not isinstance(reward, Reward):
        raise reader.error(0, "this is a number, not a reward")
    return reward


def _is_schedule(path: str) -> bool:
    if ":" not in path:
        return path in catalog.names(schedules)
    found = catalog.find(schedules, path)
    return isinstance(found, type) and issubclass(found, Schedule)


def _reward_parameters(path: str) -> list[str]:
    """The parameters of a reward's constructor that are rewards."""
    found = catalog.find(sys.modules[__package__], path)
    if not isinstance(found, type):
        return []
    parameters = inspect.signature(found).parameters.values()
    return [p.name for p in parameters if p.annotation in (Reward, "Reward")]


class _Reader:
    """Walks the syntax tree of one expression and places its mistakes."""

    def __init__(self, source: str, indent: int):
        self.source = source
        self.indent = indent

    def value(self, node: ast.expr) -> Reward | Schedule | float:
        """The reward, the schedule or the number that `node` stands for."""
        match node:
            case ast.Constant(value=bool()):
                raise self.error(node, "expected a reward or a number")
            case ast.Constant(value=int() | float() as number):
                if abs(number) > sys.float_info.max:
                    raise self.error(node, "a weight must be finite")
                return float(number)
            case ast.Name() | ast.Constant(value=str()):
                return self.reward(node, node, [], [])
            case ast.Call(func=ast.Name() | ast.Constant(value=str())):
                return self.reward(node, node.func, node.args, node.keywords)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return self.apply(node, operator.neg, self.value(operand))
            case ast.BinOp(left=left, right=right):
                return self.combine(node, self.value(left), self.value(right))
        raise self.error(node, "expected a reward or a number")

    def reward(self, node, name, arguments, keywords) -> Reward | Schedule:
        """What a name, what stands in order, and its options make."""
        path = name.id if isinstance(name, ast.Name) else name.value
        try:
            if _is_schedule(path):
                return read(node)
            wanted = _reward_parameters(path)
        except ValueError as error:
            raise self.error(node, f"{error}") from error
        for argument in arguments[len(wanted) :]:
            raise self.error(argument, "write options by name, as in target=12")
        given = list(zip(wanted, arguments, strict=False))
        options = {key: self.part(value) for key, value in given}
        for keyword in keywords:
            if keyword.arg in options:
                raise self.error(keyword.value, f"{keyword.arg} is there twice")
            if keyword.arg in wanted:
                options[keyword.arg] = self.part(keyword.value)
            else:
                options[str(keyword.arg)] = self.option(keyword)
        try:
            return get(path, **options)
        except TokenRLError as error:
            raise self.error(node, f"{error}") from error

    def part(self, node: ast.expr) -> Reward:
        """The reward that another one is made of."""
        value = self.value(node)
        if not isinstance(value, Reward):
            raise self.error(node, "expected a reward, not a number")
        return value

    def option(self, keyword: ast.keyword):
        """The literal that an option is set to."""
        if keyword.arg is None:
            raise self.error(keyword.value, "write options by name")
        try:
            return ast.literal_eval(keyword.value)
        except (TypeError, ValueError) as error:
            raise self.error(
                keyword.value,
                f'option "{keyword.arg}" must be a literal, such as 3 or "l"',
            ) from error

    def combine(self, node: ast.BinOp, left, right):
        """Two values and the operator between them."""
        function = _OPERATORS.get(type(node.op))
        if function is None:
            raise self.error(node, "only +, - and * join rewards")
        return self.apply(node, function, left, right)

    def apply(self, node: ast.expr, function, *values):
        """A function of values, whose errors are placed at a node."""
        try:
            return function(*values)
        except TokenRLError as error:
            raise self.error(node, f"{error}") from error
        except TypeError as error:
            raise self.error(
                node, "add rewards to rewards, and scale them by numbers"
            ) from error

    def error(self, place: ast.expr | int, problem: str) -> TokenRLError:
        """The error at a node or a character of the source."""
        if isinstance(place, ast.expr):
            # ast counts bytes of UTF-8, people count characters.
            before = self.source.encode()[: place.col_offset]
            place = len(before.decode())
        return TokenRLError(
            f"Cannot read the reward `{self.source}` at character "
            f"{self.indent + place + 1}: {problem.rstrip('.')}."
        )


_OPERATORS = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
}
