"""Vectors of numbers in numba code, for loops that LLVM does not vectorise by itself.

A vector fills 64 bytes: 16 float32 or 8 float64. On a processor with narrower registers LLVM splits it, so the same
code runs anywhere. All functions are for use inside ``numba.njit`` functions; array arguments are flat and contiguous.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import extending, types
from numba.core import cgutils
from numba.extending import models

VECTOR_BYTES = 64

# numba's decorators have no types that a type checker could follow.
intrinsic: Any = extending.intrinsic
overload: Any = extending.overload
register_model: Any = extending.register_model
_FLAGS = ("contract", "reassoc", "nsz", "arcp")


def lanes(dtype: np.dtype | type) -> int:
    """Numbers in a vector of a dtype."""
    return VECTOR_BYTES // np.dtype(dtype).itemsize


class Vector(types.Type):
    """Numba type of a vector."""

    def __init__(self, dtype: Any) -> None:
        self.dtype = dtype
        self.lanes = VECTOR_BYTES * 8 // dtype.bitwidth
        super().__init__(name=f"Vector({dtype})")  # type: ignore[no-untyped-call]

    @property
    def llvm_name(self) -> str:
        """Suffix of LLVM's intrinsics for this type."""
        return f"v{self.lanes}f{self.dtype.bitwidth}"


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, vector: Vector) -> None:
        element = ir.FloatType() if vector.dtype == types.float32 else ir.DoubleType()
        super().__init__(manager, vector, ir.VectorType(element, vector.lanes))  # type: ignore[no-untyped-call]


def _pointer(context: Any, builder: Any, array_type: Any, array: Any, index: Any, *, vector: Any) -> Any:
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), vector.as_pointer())


def _broadcast(builder: Any, vector: Any, number: Any) -> Any:
    i32 = ir.IntType(32)
    first = builder.insert_element(ir.Constant(vector, ir.Undefined), number, ir.Constant(i32, 0))
    zeros = ir.Constant(ir.VectorType(i32, vector.count), [0] * vector.count)
    return builder.shuffle_vector(first, ir.Constant(vector, ir.Undefined), zeros)


def _call(builder: Any, name: str, result: Any, arguments: list[Any]) -> Any:
    kind = ir.FunctionType(result, [value.type for value in arguments])
    function = cgutils.get_or_insert_function(builder.module, kind, name)  # type: ignore[no-untyped-call]
    return builder.call(function, arguments, fastmath=_FLAGS)


@intrinsic
def load(typing: Any, array: Any, index: Any) -> Any:
    """Vector of the elements of ``array`` from ``index`` on."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        vector = context.get_value_type(signature.return_type)
        value = builder.load(_pointer(context, builder, signature.args[0], *arguments, vector=vector))
        value.align = array.dtype.bitwidth // 8
        return value

    return Vector(array.dtype)(array, types.intp), generate


@intrinsic
def store(typing: Any, array: Any, index: Any, vector: Any) -> Any:
    """Write a vector to the elements of ``array`` from ``index`` on."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        target = _pointer(context, builder, signature.args[0], *arguments[:2], vector=arguments[2].type)
        builder.store(arguments[2], target).align = array.dtype.bitwidth // 8
        return context.get_dummy_value()

    return types.void(array, types.intp, vector), generate


@intrinsic
def splat(typing: Any, number: Any) -> Any:
    """Vector of equal elements, of the number's type."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _broadcast(builder, context.get_value_type(signature.return_type), arguments[0])

    return Vector(number)(number), generate


@intrinsic
def like(typing: Any, vector: Any, number: Any) -> Any:
    """Vector of equal elements of the type of ``vector``."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = arguments[0].type
        value = arguments[1] if kind.element == ir.DoubleType() else builder.fptrunc(arguments[1], kind.element)
        return _broadcast(builder, kind, value)

    return vector(vector, types.float64), generate


def _binary(operation: str, what: str) -> Any:
    def typed(typing: Any, x: Any, y: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return getattr(builder, operation)(*arguments, flags=_FLAGS)

        return x(x, y), generate

    typed.__doc__ = what
    return intrinsic(typed)


add = _binary("fadd", "x + y")
sub = _binary("fsub", "x - y")
mul = _binary("fmul", "x * y")
div = _binary("fdiv", "x / y")


def _unary(name: str, what: str) -> Any:
    def typed(typing: Any, x: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return _call(builder, f"llvm.{name}.{x.llvm_name}", arguments[0].type, list(arguments))

        return x(x), generate

    typed.__doc__ = what
    return intrinsic(typed)


sqrt = _unary("sqrt", "Square root")
_absolute = _unary("fabs", "Absolute value")
_nearest_integer = _unary("rint", "Nearest whole number")


@intrinsic
def fma(typing: Any, x: Any, y: Any, z: Any) -> Any:
    """x * y + z"""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _call(builder, f"llvm.fma.{x.llvm_name}", arguments[0].type, list(arguments))

    return x(x, y, z), generate


@intrinsic
def total(typing: Any, x: Any) -> Any:
    """Sum of the elements."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        element = arguments[0].type.element
        name = f"llvm.vector.reduce.fadd.{x.llvm_name}"
        return _call(builder, name, element, [ir.Constant(element, 0.0), arguments[0]])

    return x.dtype(x), generate


@intrinsic
def _at_least(typing: Any, x: Any, y: Any) -> Any:
    """The larger of x and y, x where it is not a number."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        less = builder.fcmp_ordered("<", *arguments)
        return builder.select(less, arguments[1], arguments[0])

    return x(x, y), generate


@intrinsic
def _where_negative(typing: Any, x: Any, y: Any, z: Any) -> Any:
    """y where x is negative, else z."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        zero = ir.Constant(arguments[0].type, None)
        return builder.select(builder.fcmp_ordered("<", arguments[0], zero), arguments[1], arguments[2])

    return x(x, y, z), generate


@intrinsic
def _power_of_two(typing: Any, k: Any) -> Any:
    """2**k for whole k in the range of the exponent."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        bias, shift = (127, 23) if k.dtype == types.float32 else (1023, 52)
        whole = ir.VectorType(ir.IntType(k.dtype.bitwidth), k.lanes)
        exponent = builder.add(builder.fptosi(arguments[0], whole), ir.Constant(whole, [bias] * k.lanes))
        bits = builder.shl(exponent, ir.Constant(whole, [shift] * k.lanes))
        return builder.bitcast(bits, arguments[0].type)

    return k(k), generate


def exp(x: Any) -> Any:
    """e**x for x <= 0 to the last bits of the type; a number too small to count where it would underflow."""
    raise NotImplementedError("for compiled code")


# The lower limits keep products of the result away from denormal numbers, which would triple the time.
# Taylor coefficients 1/n! from the highest down: on |f| <= ln(2)/2 the first term left out is below half a last bit.
@overload(exp, jit_options={"forceinline": True})
def _exp(x: Any) -> Any:
    if x.dtype == types.float32:

        def single(x: Any) -> Any:
            x = _at_least(x, like(x, -80.0))
            k = _nearest_integer(mul(x, like(x, 1.4426950408889634)))
            f = fma(k, like(x, -0.693359375), x)
            f = fma(k, like(x, 2.12194440054690583e-4), f)
            p = fma(like(x, 1.0 / 5040.0), f, like(x, 1.0 / 720.0))
            p = fma(p, f, like(x, 1.0 / 120.0))
            p = fma(p, f, like(x, 1.0 / 24.0))
            p = fma(p, f, like(x, 1.0 / 6.0))
            p = fma(p, f, like(x, 0.5))
            p = fma(p, f, like(x, 1.0))
            p = fma(p, f, like(x, 1.0))
            return mul(p, _power_of_two(k))

        return single

    def double(x: Any) -> Any:
        x = _at_least(x, like(x, -690.0))
        k = _nearest_integer(mul(x, like(x, 1.4426950408889634)))
        f = fma(k, like(x, -0.693359375), x)
        f = fma(k, like(x, 2.12194440054690583e-4), f)
        p = fma(like(x, 1.0 / 6227020800.0), f, like(x, 1.0 / 479001600.0))
        p = fma(p, f, like(x, 1.0 / 39916800.0))
        p = fma(p, f, like(x, 1.0 / 3628800.0))
        p = fma(p, f, like(x, 1.0 / 362880.0))
        p = fma(p, f, like(x, 1.0 / 40320.0))
        p = fma(p, f, like(x, 1.0 / 5040.0))
        p = fma(p, f, like(x, 1.0 / 720.0))
        p = fma(p, f, like(x, 1.0 / 120.0))
        p = fma(p, f, like(x, 1.0 / 24.0))
        p = fma(p, f, like(x, 1.0 / 6.0))
        p = fma(p, f, like(x, 0.5))
        p = fma(p, f, like(x, 1.0))
        p = fma(p, f, like(x, 1.0))
        return mul(p, _power_of_two(k))

    return double


def softplus_and_sigmoid(x: Any) -> Any:
    """ln(1 + e**x) and its derivative 1 / (1 + e**-x)."""
    raise NotImplementedError("for compiled code")


@overload(softplus_and_sigmoid)
def _softplus_and_sigmoid(x: Any) -> Any:
    # ln(1 + y) = 2 artanh(z) with z = y / (2 + y) <= 1/3: z^2n / (2 n + 1) is below the last bit after n_terms.
    n_terms = 9 if x.dtype == types.float32 else 18

    def both(x: Any) -> Any:
        y = exp(sub(like(x, 0.0), _absolute(x)))
        one = like(x, 1.0)
        z = div(y, add(y, like(x, 2.0)))
        squared = mul(z, z)
        series = like(x, 0.0)
        for term in range(n_terms):
            series = fma(series, squared, like(x, 1.0 / (2.0 * (n_terms - term) - 1.0)))
        value = fma(mul(z, series), like(x, 2.0), _at_least(x, like(x, 0.0)))
        inverse = div(one, add(one, y))
        return value, _where_negative(x, mul(y, inverse), inverse)

    return both
