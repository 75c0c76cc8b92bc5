//! The past of a series for a chart: at most so many points, up to where live ones begin.

use super::chunk::is_stale;
use super::series::SeriesRef;

/// Most points of one series, when nothing else is asked for: one for each pixel or two of a chart.
pub const POINTS: usize = 600;

/// The samples of a series from `from_ms` up to, and without, `before_ms`, in at most `most` points. A snapshot at
/// `before_ms` goes on where this ends: no sample is in both, and none is missing when the history has the tick before
/// it (see [`Recorder::recorded`](super::Recorder::recorded)). Stale markers are among the points: there the line breaks.
#[must_use]
pub fn backfill(series: &SeriesRef, from_ms: i64, before_ms: i64, most: usize) -> Vec<(i64, f64)> {
    let Some(last) = before_ms.checked_sub(1) else { return Vec::new() };
    let mut points = Vec::new();
    series.for_each(from_ms, last, |time, value| points.push((time, value)));
    thin(points, most)
}

/// Makes `most` points or less of points in order of time. Few enough stay as they are. Of more, time is cut into equal
/// parts, and of each stays the least and the greatest value, so that a peak of one sample is still seen; in a part with
/// a stale marker that marker and the greatest. The last point always stays. All points are real ones, at their own time.
#[must_use]
pub fn thin(points: Vec<(i64, f64)>, most: usize) -> Vec<(i64, f64)> {
    if points.len() <= most {
        return points;
    }
    let Some((&last, rest)) = points.split_last() else { return points };
    if most == 0 {
        return Vec::new();
    }
    let parts = (most - 1) / 2;
    let first = rest.first().map_or(last.0, |point| point.0);
    let span = u128::from(last.0.abs_diff(first)).max(1);
    let part = |time: i64| u128::from(time.abs_diff(first)) * parts as u128 / span;
    let mut thinned = Vec::with_capacity(most);
    if parts > 0 {
        for group in rest.chunk_by(|a, b| part(a.0) == part(b.0)) {
            let (one, other) = outstanding(group);
            thinned.push(group[one.min(other)]);
            if one != other {
                thinned.push(group[one.max(other)]);
            }
        }
    }
    thinned.push(last);
    thinned
}

/// Places of the two points that stand for a group.
fn outstanding(group: &[(i64, f64)]) -> (usize, usize) {
    let values = || group.iter().enumerate().filter(|(_, point)| !point.1.is_nan());
    let least = values().min_by(|a, b| a.1.1.total_cmp(&b.1.1)).map(|(at, _)| at);
    let greatest = values().max_by(|a, b| a.1.1.total_cmp(&b.1.1)).map(|(at, _)| at);
    let stale = group.iter().rposition(|point| is_stale(point.1));
    let other = group.len() - 1; // where there is no number at all
    (greatest.or(stale).unwrap_or(other), stale.or(least).unwrap_or(other))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::STALE;
    use proptest::prelude::*;

    #[test]
    fn a_peak_of_one_sample_and_a_gap_are_still_seen() {
        let mut points: Vec<_> = (0..3600).map(|i| (i * 1000, (i % 7) as f64)).collect();
        points[1234].1 = 1e6;
        points[2345].1 = -5.0;
        points[3000].1 = f64::from_bits(STALE);
        let thinned = thin(points.clone(), POINTS);
        assert!(thinned.len() <= POINTS && thinned.len() > POINTS / 2, "{}", thinned.len());
        for at in [1234, 2345, 3599] {
            assert!(thinned.contains(&points[at]), "{at}");
        }
        assert_eq!(thinned.iter().filter(|point| is_stale(point.1)).count(), 1);
    }

    proptest! {
        #[test]
        fn points_are_real_in_order_bounded_and_end_with_the_last(
            points in prop::collection::btree_map(any::<i64>(), any::<u64>(), 0..200), most in 0usize..50,
        ) {
            let points: Vec<_> = points.into_iter().map(|(t, v)| (t, f64::from_bits(v))).collect();
            let bits = |points: &[(i64, f64)]| points.iter().map(|(t, v)| (*t, v.to_bits())).collect::<Vec<_>>();
            let thinned = bits(&thin(points.clone(), most));
            let all = bits(&points);
            prop_assert!(thinned.len() <= most);
            prop_assert!(thinned.windows(2).all(|two| two[0].0 < two[1].0));
            prop_assert!(thinned.iter().all(|point| all.binary_search_by_key(&point.0, |p| p.0).map(|at| all[at]) == Ok(*point)));
            if most > 0 {
                prop_assert_eq!(thinned.last(), all.last());
            }
            if all.len() <= most {
                prop_assert_eq!(thinned, all);
            }
        }
    }
}
