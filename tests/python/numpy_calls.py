"""Calls of NumPy's functions with SharedTensors, for test_numpy_functions.py."""

import numpy as np

# What the calls below work on, all of them in the store: t float 3x4, m float 3x3, v float 4, i int64 4, n intp 3x4, b bool 3x4,
# u uint8 3x4, d datetime64[D] 4, s str 3, z complex 4, e one element.
OPERANDS = {
    "t": np.arange(1.0, 13).reshape(3, 4),
    "m": np.array([[4.0, 1, 0], [1, 3, 1], [0, 1, 2]]),
    "v": np.array([1.0, 2, 3, 4]),
    "i": np.array([0, 1, 2, 1]),
    "n": np.arange(12, dtype=np.intp).reshape(3, 4) % 4,
    "b": np.array([[True, False, True, True]] * 3),
    "u": np.arange(12, dtype=np.uint8).reshape(3, 4),
    "d": np.array(["2024-01-01", "2024-01-02", "2024-01-03", "2024-01-04"], "M8[D]"),
    "s": np.array(["a", "b", "c"]),
    "z": np.array([1 + 2j, 3, 4j, 5]),
    "e": np.array([7.0]),
}

# Each begins with the function that it is a call of. A call counts where this NumPy has that function.
CALLS = """
all(b); alltrue(b); any(b); sometrue(b); allclose(t, t); array_equal(t, t); array_equiv(t, t)
amax(t); amax(t, 0); amin(t, 0); max(t, 0); min(t, 0); ptp(t, 0); argmax(t, 0); argmin(t, 0); argsort(t); argwhere(t)
argpartition(v, 2); partition(v, 2); sort(t); msort(t); sort_complex(v); lexsort((v, v)); searchsorted(v, v)
angle(z); real(z); imag(z); real(v); imag(v); real_if_close(z); real_if_close(v); iscomplex(z); isreal(z)
iscomplexobj(z); isrealobj(z)
append(v, v); insert(v, 1, v); delete(v, 1); resize(t, (2, 2)); trim_zeros(v); pad(v, 1); tile(v, 2); repeat(v, 2)
unique(v)
apply_along_axis(lambda x: x, 0, t); apply_along_axis(np.sum, 0, t); apply_over_axes(np.sum, t, 0)
arange(e[0]); linspace(v, v, 3); linspace(1, 2, 3); logspace(v, v, 3); geomspace(v, v, 3); eye(3); identity(3); tri(3)
around(t); round(t); round_(t); fix(t); clip(t, 2, 3); nan_to_num(t); sinc(t); i0(v); unwrap(v); diff(t); ediff1d(v)
array(t); array(t, subok=True); asarray(t); asanyarray(t); asarray_chkfinite(t)
ascontiguousarray(t); asfortranarray(t); asfarray(t); asmatrix(t); mat(t); matrix(t); bmat([[t]]); require(t); copy(t)
astype(t, int)
copy(t, subok=True); fastCopyAndTranspose(t); alen(t); asscalar(e)
array_split(t, 2); split(t, 2, 1); hsplit(t, 2); vsplit(t, 3); dsplit(t.reshape(3, 2, 2), 2); unstack(t)
array2string(t); array_repr(t); array_str(t); base_repr(3); binary_repr(3); datetime_as_string(d)
datetime_data(d.dtype)
format_float_positional(e[0]); format_float_scientific(e[0]); disp(t, device=io.StringIO()); typename("d")
atleast_1d(t); atleast_2d(v); atleast_3d(t); expand_dims(t, 0); squeeze(t[:1]); ravel(t); reshape(t, 12); transpose(t)
swapaxes(t, 0, 1)
atleast_1d(t, v); ravel(t.T); matrix_transpose(t); moveaxis(t, 0, 1); permute_dims(t); rollaxis(t, 1)
broadcast_to(v, (3, 4))
broadcast_arrays(v, t); flip(t); fliplr(t); flipud(t); rot90(t); diagonal(m); diag(m); diag(v); diagflat(v); roll(t, 1)
broadcast_to(v, (3, 4), subok=True); broadcast_arrays(v, t, subok=True); broadcast_shapes(t.shape, v.shape)
broadcast(t, v)
average(t, 0); average(t, weights=t); mean(t, 0); median(t, 0); std(t, 0); var(t, 0); sum(t, 0); prod(t, 0)
product(t, 0)
nanmean(t, 0); nanmedian(t, 0); nanstd(t, 0); nanvar(t, 0); nansum(t, 0); nanprod(t, 0); nanmax(t, 0); nanmin(t, 0)
nanargmax(t, 0); nanargmin(t, 0); nancumsum(t); nancumprod(t); nanpercentile(t, 50, 0); nanquantile(t, 0.5, 0)
percentile(t, 50, 0); percentile(t, v); quantile(t, 0.5, 0); cumsum(t); cumprod(t); cumproduct(t); cumulative_sum(v)
cumulative_prod(v)
bincount(i); digitize(v, v); histogram(v); histogram2d(v, v); histogramdd(t); histogram_bin_edges(v); count_nonzero(t)
interp(v, v, v)
block([t, t]); concat([t, t]); concatenate([t, t]); stack([t, t]); hstack([t, t]); vstack([t, t]); dstack([t, t])
column_stack([v, v])
row_stack([v, v]); concatenate([t, t], out=empty((6, 4)))
busday_count(d, d); busday_offset(d, 1, roll="forward"); is_busday(d); busdaycalendar(holidays=d)
can_cast(t.dtype, int); common_type(t); find_common_type([t.dtype], []); min_scalar_type(t); mintypecode("df")
promote_types(t.dtype, int)
result_type(t, i); isdtype(t.dtype, "numeric"); issubdtype(t.dtype, float); issubsctype(t, float)
issubclass_(type(t), ndarray)
choose(n % 3, t); compress([True, False, True], t, 0); extract(b, t); select([b], [t]); piecewise(t, [b], [1, 2])
where(b, t, t); where(b)
take(t, i); take_along_axis(t, n % 3, 0); nonzero(t); flatnonzero(t); ix_(i); unravel_index(i, (2, 2))
ravel_multi_index((i, i), (3, 3))
compare_chararrays(s, s, "==", True); convolve(v, v); correlate(v, v); corrcoef(t); cov(t); cross(v[:3], v[1:])
dot(m, m)
einsum("ij->j", t); einsum("ij->ji", t); einsum("ii->i", m); einsum("ij,jk", m, m); einsum_path("ij,jk", m, m)
inner(v, v); inner(t, t)
kron(v, v); outer(v, v); tensordot(m, m); trace(m); vdot(v, v); gradient(v); gradient(t); trapz(v); trapezoid(v)
vander(v)
empty((2, 2)); empty_like(t); zeros((2, 2)); zeros_like(t); ones((2, 2)); ones_like(t); full((2, 2), e)
full_like(t, 1); empty_like(t, subok=False)
frombuffer(t); fromfunction(lambda x, y: t, (3, 4)); fromiter(v, float); fromstring("1 2", sep=" "); from_dlpack(t)
indices((2, 2))
fromfile(os.devnull); genfromtxt(["1 2"]); loadtxt(["1 2"]); fromregex(io.BytesIO(b"1"), b"(1)", [("x", "i4")])
recfromtxt(["1 2"]); recfromcsv(["a", "1"])
frompyfunc(lambda x: x, 1, 1)(t); vectorize(lambda x: x)(t); get_array_wrap(t)(t)
in1d(v, v); isin(v, v); intersect1d(v, v); setdiff1d(v, v); setxor1d(v, v[:2]); union1d(v, v)
unique(v, return_index=True, return_inverse=True)
unique_all(v); unique_counts(v); unique_inverse(v); unique_values(v)
isclose(t, t); isneginf(t); isposinf(t); isscalar(t); isfortran(t); iterable(t); ndim(t); shape(t); size(t)
may_share_memory(t, t)
shares_memory(t, t); byte_bounds(t); info(t, output=io.StringIO()); who({"t": t}); iscomplexobj(t)
kaiser(4, e[0]); bartlett(e[0]); blackman(e[0]); hamming(e[0]); hanning(e[0]); mask_indices(3, triu); meshgrid(v, v)
meshgrid(v, v, copy=False)
diag_indices(3); diag_indices_from(m); tril(m); triu(m); tril_indices(3); tril_indices_from(m); triu_indices(3)
triu_indices_from(m)
packbits(b); unpackbits(u); poly(v); polyadd(v, v); polyder(v); polydiv(v, v[:2]); polyfit(v, v, 1); polyint(v)
polymul(v, v)
polysub(v, v); polyval(v, v); roots(v); poly1d(v); poly1d(v).coeffs; poly1d(v)(v)
copyto(t, t); fill_diagonal(m, m[0, 0]); place(t, b, v); put(v, i, v); put_along_axis(t, n % 3, 0.0, 0)
putmask(t, b, v)
save(io.BytesIO(), t); savez(io.BytesIO(), t); savez_compressed(io.BytesIO(), t); savetxt(io.BytesIO(), t)
ndenumerate(t); ndindex(t.shape); nditer(t); nditer([t, None]).operands; nested_iters(t, [[0], [1]])
ndarray((3, 4), float, t); recarray((12,), [("x", float)], t); chararray((12,), 8, False, t); dtype(t.dtype)
finfo(t.dtype); iinfo(i.dtype)
""".strip()

# Callables that take no array, or not here, with the reason.
NOT_CALLED = {
    "no array goes in or out": """
        _add_newdoc_ufunc add_docstring add_newdoc add_newdoc_ufunc deprecate deprecate_with_doc errstate
        format_parser get_include get_printoptions getbufsize geterr geterrcall geterrobj lookfor maximum_sctype
        obj2sctype printoptions safe_eval sctype2char issctype set_numeric_ops set_printoptions set_string_function
        setbufsize seterr seterrcall seterrobj show_config show_runtime source test ufunc DataSource
        """,
    "a file on disk is mapped, not an array": "memmap load",
    "they come from an array's .flat alone": "flatiter",
}
