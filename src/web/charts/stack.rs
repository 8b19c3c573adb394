//! Stacked bars.

use super::line::scaled;

/// One path for each of the `N` parts of bars that stand side by side, the lowest part first, in a `viewBox` of one unit a bar and
/// `height`. A part that is there is seen, a unit high at least: a few failures among thousands are what is looked for.
///
/// Each path reaches from the bottom to the top of its part, so that the lower ones have to be drawn over the higher ones.
pub fn stack<const N: usize>(bars: &[[i64; N]], top: i64, height: i64) -> [String; N] {
    let heights: Vec<[i64; N]> = bars.iter().map(|bar| tops(bar, top, height)).collect();
    std::array::from_fn(|part| outline(&heights.iter().map(|tops| tops[part]).collect::<Vec<_>>(), height))
}

/// Where each part of a bar ends; 0 for one that is not there.
fn tops<const N: usize>(bar: &[i64; N], top: i64, height: i64) -> [i64; N] {
    let least = |value: i64| scaled(value, top, height).max(i64::from(value > 0));
    let above: i64 = bar.iter().skip(1).map(|value| least(*value)).sum();
    let whole = scaled(bar.iter().sum(), top, height);
    let mut end = 0;
    std::array::from_fn(|part| {
        let value = bar[part];
        // The lowest gives way to what the others were rounded up by.
        let own = if part == 0 { (whole - above).max(i64::from(value > 0)) } else { least(value) };
        if value <= 0 {
            return 0;
        }
        end = (end + own).min(height);
        end
    })
}

/// Steps of these heights, one unit wide each. Relative widths are mostly the same, which squeezes well.
fn outline(heights: &[i64], height: i64) -> String {
    let Some(start) = heights.iter().position(|up| *up > 0) else { return String::new() };
    let end = heights.iter().rposition(|up| *up > 0).unwrap_or(start);
    let runs = heights[start..=end].chunk_by(|a, b| a == b);
    let steps: String = runs.map(|run| format!("V{}h{}", height - run[0], run.len())).collect();
    format!("M{start} {height}{steps}V{height}z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_stand_on_each_other() {
        let [low, high] = stack(&[[50, 0], [50, 25], [0, 25]], 100, 200);
        assert_eq!(low, "M0 200V100h2V200z");
        assert_eq!(high, "M1 200V50h1V150h1V200z");
        assert_eq!(stack(&[[0, 0]], 100, 200), ["", ""]);
    }

    #[test]
    fn what_happened_once_among_thousands_is_seen() {
        assert_eq!(tops(&[9_998, 1, 1], 10_000, 200), [198, 199, 200]);
        assert_eq!(tops(&[1, 1, 1], 10_000, 200), [1, 2, 3]);
        assert_eq!(tops(&[0, 1, 0], 10_000, 200), [0, 1, 0]);
    }

    #[test]
    fn bars_stay_inside() {
        for bar in [[0, 3, 3, 3], [1, 999, 999, 999], [i64::MAX / 8; 4]] {
            let tops = tops(&bar, bar.iter().sum(), 200);
            assert!(tops.iter().all(|end| (0..=200).contains(end)), "{bar:?}: {tops:?}");
        }
    }
}
