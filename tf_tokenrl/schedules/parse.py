"""From words to schedules: a name with literal options, times numbers."""

import ast
import sys

from tf_tokenrl import catalog
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.schedules.base import Schedule


def get(name: str, /, *arguments, **options) -> Schedule:
    """The schedule called `name`, or the user's "module:Class".

    Raises:
        TokenRLError: unknown name, an option that cannot be, or a class that
            is no `Schedule`.
    """
    family = sys.modules[__package__]
    found = catalog.find(family, name)
    if not (isinstance(found, type) and issubclass(found, Schedule)):
        raise TokenRLError(
            f'"{name}" is not a schedule: derive it from '
            "tf_tokenrl.schedules.Schedule."
        )
    return catalog.create(family, name, *arguments, **options)


def parse(expression: str) -> Schedule:
    """The schedule that an expression describes; nothing is evaluated.

        0.1
        linear(0.0, 0.3, steps=100)
        0.5 * cosine(1.0, 0.0, steps=200, after=10)
        'my_module:Warmup'(steps=3)

    Raises:
        TokenRLError: bad syntax, an unknown schedule, or an option that is
            not a literal or that cannot be.
    """
    try:
        tree = ast.parse(expression.strip(), mode="eval").body
        found = read(tree)
    except TokenRLError:
        raise
    except (SyntaxError, ValueError) as error:
        raise TokenRLError(
            f"Cannot read the schedule `{expression}`: {error.args[0]}".rstrip(
                "."
            )
            + "; write a number, or a name with options such as "
            "linear(0.0, 0.3, steps=100)."
        ) from error
    return found if isinstance(found, Schedule) else get("constant", found)


def read(node: ast.expr):
    """The schedule or the literal that a piece of syntax stands for.

    For languages that have schedules among their options, such as
    `ppo(entropy_weight=linear(0.01, 0.0, steps=100))`.

    Raises:
        TokenRLError: a schedule is unknown or cannot be.
        ValueError: the piece is neither.
    """
    match node:
        case ast.Call(func=ast.Name() | ast.Constant(value=str())):
            return _call(node)
        case ast.UnaryOp(op=ast.USub(), operand=ast.Call() | ast.BinOp()):
            return -read(node.operand)
        case ast.BinOp(left=left, op=ast.Mult(), right=right):
            factors = read(left), read(right)
            if all(isinstance(f, Schedule | int | float) for f in factors):
                return factors[0] * factors[1]
    try:
        return ast.literal_eval(node)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{ast.unparse(node)} is neither a literal nor a schedule"
        ) from error


def _call(node: ast.Call) -> Schedule:
    name = (
        str(ast.literal_eval(node.func))
        if isinstance(node.func, ast.Constant)
        else ast.unparse(node.func)
    )
    try:
        arguments = [ast.literal_eval(part) for part in node.args]
        options = {
            str(part.arg): ast.literal_eval(part.value)
            for part in node.keywords
        }
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"the options of {name} must be literals, such as 3 or 0.1"
        ) from error
    return get(name, *arguments, **options)
