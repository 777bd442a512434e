//! Looks for the parameters under which a sample is most likely: Nelder and Mead's downhill simplex.

/// The logarithms of the parameters, which keeps them positive.
type Point<const N: usize> = [f64; N];

const RESTARTS: usize = 20;
/// A restart that gains less than this ends the search.
const CLOSE: f64 = 1e-4;
/// As far as a parameter may be from 1, as a logarithm.
const EDGE: f64 = 9.0;

/// The positive parameters under which the likelihood is greatest, and its logarithm there. The search begins at 1 for
/// each. `None` where it finds no end.
pub(super) fn most_likely<const N: usize>(log_likelihood: impl Fn([f64; N]) -> f64) -> Option<([f64; N], f64)> {
    let cost = |point: &Point<N>| -log_likelihood(point.map(f64::exp));
    let mut best = [0.0; N];
    let mut before = f64::INFINITY;
    // A simplex can collapse before it is there; a fresh one from where it ended shows.
    for _ in 0..RESTARTS {
        let (point, least) = descend(&cost, best)?;
        // Towards an edge the likelihood only creeps up: no such parameters are the best ones.
        if !least.is_finite() || point.iter().any(|parameter| parameter.abs() > EDGE) {
            return None;
        }
        best = point;
        if before - least < CLOSE {
            return Some((best.map(f64::exp), -least));
        }
        before = least;
    }
    None
}

/// Where `cost` is least near `start`, and how much it is there.
fn descend<const N: usize>(cost: &impl Fn(&Point<N>) -> f64, start: Point<N>) -> Option<(Point<N>, f64)> {
    const STEPS: usize = 2_000;
    const STEP: f64 = 0.5;
    let mut simplex: Vec<(Point<N>, f64)> = vec![(start, cost(&start))];
    for axis in 0..N {
        let mut point = start;
        point[axis] += STEP;
        simplex.push((point, cost(&point)));
    }
    for _ in 0..STEPS {
        simplex.sort_by(|one, other| one.1.total_cmp(&other.1));
        let (best, worst) = (simplex[0], simplex[N]);
        let size = simplex.iter().map(|(point, _)| distance(point, &best.0)).fold(0.0, f64::max);
        if worst.1 - best.1 < 1e-7 && size < 1e-5 {
            return Some(best);
        }
        let middle = |axis: usize| simplex[..N].iter().map(|(point, _)| point[axis]).sum::<f64>() / N as f64;
        let centre: Point<N> = std::array::from_fn(middle);
        let along = |by: f64| {
            let point: Point<N> = std::array::from_fn(|axis| centre[axis] + by * (worst.0[axis] - centre[axis]));
            (point, cost(&point))
        };
        let reflected = along(-1.0);
        let replacement = if reflected.1 < best.1 {
            let expanded = along(-2.0);
            Some(if expanded.1 < reflected.1 { expanded } else { reflected })
        } else if reflected.1 < simplex[N - 1].1 {
            Some(reflected)
        } else {
            let contracted = along(if reflected.1 < worst.1 { -0.5 } else { 0.5 });
            (contracted.1 < worst.1.min(reflected.1)).then_some(contracted)
        };
        if let Some(replacement) = replacement {
            simplex[N] = replacement;
            continue;
        }
        for vertex in &mut simplex[1..] {
            let point: Point<N> = std::array::from_fn(|axis| (vertex.0[axis] + best.0[axis]) / 2.0);
            *vertex = (point, cost(&point));
        }
    }
    None
}

fn distance<const N: usize>(one: &Point<N>, other: &Point<N>) -> f64 {
    one.iter().zip(other).map(|(one, other)| (one - other).abs()).fold(0.0, f64::max)
}
