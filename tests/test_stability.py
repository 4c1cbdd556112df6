"""Stability from polynomials against matrices of known eigenvalues and against LAPACK."""

import numpy as np
import pytest

import jaxmem as jm
from jaxmem.analysis.stability import by_eigenvalues, decoupled, stability

CELLS = 400
NODE, OSCILLATORY, UNSTABLE, UNKNOWN = (int(x) for x in jm.Stability)


def matrix_of(eigenvalues: list[complex], random: np.random.Generator) -> np.ndarray:
    """A random real matrix with these eigenvalues (of a pair, the one with the positive imaginary part)."""
    spiral = lambda x: np.array([[x.real, x.imag], [-x.imag, x.real]]) if x.imag else np.array([[x.real]])
    blocks = [spiral(complex(x)) for x in eigenvalues]
    n = sum(len(b) for b in blocks)
    whole, at = np.zeros((n, n)), 0
    for b in blocks:
        whole[at : at + len(b), at : at + len(b)] = b
        at += len(b)
    turned = np.linalg.qr(random.standard_normal((n, n)))[0] @ np.diag(np.exp(0.3 * random.standard_normal(n)))
    return turned @ whole @ np.linalg.inv(turned)


def answer(matrices: np.ndarray, slow: int = 0) -> tuple[list[int], list[int]]:
    """Of (cells, n, n)."""
    cells = len(matrices)
    matrices = np.concatenate([matrices, np.repeat(matrices[-1:], CELLS - cells, 0)])  # of one shape: compiled once
    found, growing = stability(np.moveaxis(matrices, 0, -1), slow)
    return found.tolist()[:cells], growing.tolist()[:cells]


@pytest.mark.parametrize("n", range(1, 7))
def test_nodes_foci_and_saddles_are_told_apart(n: int) -> None:
    """Decays or growth within a factor of ten, an oscillation where there is room for one."""
    random = np.random.default_rng(n)
    matrices, expected, counts = [], [], []
    for _ in range(60):
        real = -np.exp(random.uniform(-1.2, 1.2, n))
        real *= 1 + 0.05 * np.arange(n)  # not two alike by chance
        grow = random.integers(0, n + 1)
        turned = real.copy()
        turned[:grow] *= -1
        cases = [(list(real), NODE, 0), (list(turned), UNSTABLE if grow else NODE, grow)]
        if n > 1:
            pair = random.uniform(0.1, 3.0) + 1j * random.uniform(0.1, 3.0)
            cases += [([-pair.conjugate(), *real[2:]], OSCILLATORY, 0), ([pair, *real[2:]], UNSTABLE, 2)]
            cases += [([pair, *turned[2:]], UNSTABLE, 2 + max(grow - 2, 0))]
        for eigenvalues, kind, count in cases:
            matrices.append(matrix_of(eigenvalues, random))
            expected.append(kind)
            counts.append(count)
    found, growing = answer(np.stack(matrices))
    assert found == expected
    assert growing == counts


@pytest.mark.parametrize("n", range(1, 7))
def test_random_matrices_agree_with_lapack(n: int) -> None:
    random = np.random.default_rng(10 + n)
    matrices = random.standard_normal((CELLS, n, n)) - random.uniform(0, 2, CELLS)[:, None, None] * np.eye(n)
    eigenvalues = np.linalg.eigvals(matrices)
    found, growing = answer(matrices)
    assert np.array_equal(found, by_eigenvalues(eigenvalues))
    assert np.array_equal(growing, (eigenvalues.real > 0).sum(-1))


@pytest.mark.parametrize(("fast", "slow"), [(1, 1), (4, 3), (2, 5), (6, 6), (5, 2)])
def test_fast_and_slow_modes_are_told_apart(fast: int, slow: int) -> None:
    """Gates within milliseconds, amounts within hours: 1e-8 to 10 per ms in one matrix, of either sign, coupled."""
    random = np.random.default_rng(100 * fast + slow)
    matrices, expected, counts = [], [], []
    for _ in range(200):
        parts, oscillates, count = [], False, 0
        for n, (low, high) in ((fast, (-1.5, 1.0)), (slow, (-8.0, -5.0))):
            values = list(-(10.0 ** np.sort(random.uniform(low, high, n))) * (1 + 0.05 * np.arange(n)))
            if n > 1 and random.random() < 0.4:
                values[:2] = [values[0] * (1 + 1j * random.uniform(0.3, 3.0))]
                oscillates = True
                values[0] = complex(values[0].real, abs(values[0].imag))
            if random.random() < 0.3:
                values[-1] = -np.conj(values[-1])
                count += 1 + np.iscomplex(values[-1])
            parts.append(matrix_of(values, random))
        whole = np.zeros((fast + slow,) * 2)
        whole[:fast, :fast], whole[fast:, fast:] = parts
        mixed = np.eye(fast + slow)
        mixed[:fast, fast:] = random.standard_normal((fast, slow))
        back = np.eye(fast + slow)
        back[fast:, :fast] = 1e-6 * random.standard_normal((slow, fast))
        change = mixed @ back
        matrices.append(change @ whole @ np.linalg.inv(change))
        expected.append(UNSTABLE if count else OSCILLATORY if oscillates else NODE)
        counts.append(count)
    found, growing = answer(np.stack(matrices), slow)
    assert found == expected
    assert growing == counts


def test_decoupled_blocks_have_the_eigenvalues_of_the_whole() -> None:
    random = np.random.default_rng(3)
    matrices = random.standard_normal((50, 5, 5))
    matrices[:, 3:] *= 1e-6
    matrices[:, range(5), range(5)] -= np.array([3.0, 4, 5, 3e-6, 4e-6])
    (a, b), apart = decoupled(np.moveaxis(matrices, 0, -1), 2)
    assert np.asarray(apart).all()
    for i in range(50):
        parts = np.concatenate([np.linalg.eigvals(np.asarray(x)[..., i]) for x in (a, b)])
        whole = np.linalg.eigvals(matrices[i])
        np.testing.assert_allclose(np.sort_complex(parts), np.sort_complex(whole), rtol=1e-8)


def test_scales_that_are_not_apart_are_looked_at_together_or_not_at_all() -> None:
    random = np.random.default_rng(4)
    small = random.standard_normal((200, 5, 5)) - 1.5 * np.eye(5)
    found, growing = answer(small, slow=2)
    eigenvalues = np.linalg.eigvals(small)
    assert np.array_equal(found, by_eigenvalues(eigenvalues))
    assert np.array_equal(growing, (eigenvalues.real > 0).sum(-1))
    large = random.standard_normal((20, 8, 8))
    found, growing = answer(large, slow=4)
    assert found.count(UNKNOWN) > 10 and all((a == UNKNOWN) == (b == -1) for a, b in zip(found, growing, strict=True))


def test_large_blocks_and_broken_cells_are_unknown() -> None:
    assert answer(-np.eye(7)[None]) == ([UNKNOWN], [-1])
    assert answer(-np.eye(9)[None], slow=2) == ([UNKNOWN], [-1])
    two = np.stack([np.diag([-1.0, -2.0]), np.array([[np.nan, 0.0], [0.0, -1.0]]), np.diag([np.inf, -1.0])])
    assert answer(two) == ([NODE, UNKNOWN, UNKNOWN], [0, -1, -1])


def test_margins_of_stability() -> None:
    """A centre, a neutral saddle, a mode that stands still: none of them comes back."""
    centre, saddle, still = np.array([[0.0, 1.0], [-1.0, 0.0]]), np.diag([1.0, -1.0]), np.diag([0.0, -1.0])
    found, growing = answer(np.stack([centre, saddle, still]))
    assert found == [UNSTABLE] * 3 and growing == [2, 1, 1]
    four = np.zeros((4, 4))
    four[:2, :2], four[2:, 2:] = centre, 2 * centre
    assert answer(four[None])[0] == [UNSTABLE]


@pytest.mark.parametrize("n", range(2, 7))
def test_modes_that_coincide_do_not_oscillate(n: int) -> None:
    """Twins: three channels alike have two modes with one time constant. A Jordan block overshoots as little."""
    diagonal = -np.eye(n)
    twins = np.diag([-1.0, -1.0, *-np.arange(2.0, n)])
    jordan = -np.eye(n) + np.eye(n, k=1)
    found, growing = answer(np.stack([diagonal, twins, jordan, -twins]))
    assert found == [NODE, NODE, NODE, UNSTABLE] and growing == [0, 0, 0, n]


def test_three_channels_alike_make_a_node() -> None:
    """The Jacobian of v and three equal gates: two of its eigenvalues are -1/tau exactly."""
    for pull, kind in ((-0.1, NODE), (0.05, NODE), (1.0, UNSTABLE)):
        matrix = np.diag([-0.5, -2.0, -2.0, -2.0])
        matrix[0, 1:], matrix[1:, 0] = pull, 1.0
        assert np.isreal(np.linalg.eigvals(matrix)).all()
        assert answer(matrix[None])[0] == [kind]


def test_float32() -> None:
    """The same from float32 where eigenvalues are clearly apart."""
    random = np.random.default_rng(8)
    cases: list[tuple[list, int, int]] = [
        ([-1.0, -0.3, -3.0], NODE, 0),
        ([-1 + 2j, -0.5], OSCILLATORY, 0),
        ([0.5 + 1j, -1.0], UNSTABLE, 2),
        ([1.0, -0.2, -3.0], UNSTABLE, 1),
    ]
    matrices = np.stack([matrix_of(x, random) for x, *_ in cases]).astype(np.float32)
    assert answer(matrices) == ([x for _, x, _ in cases], [x for *_, x in cases])
