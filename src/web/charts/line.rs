//! Lines over time, with gaps.

/// Units from one value to the next: values are in the middle of their bin, which is a whole unit then.
pub(super) const BIN: i64 = 2;

/// Path through `values` in a `viewBox` of two units a value and `height`, in which 0 is at the bottom and `top` at the top. Where a value
/// is missing the line is interrupted; a value between two gaps is a level as wide as its bin.
pub fn line(values: &[Option<i64>], top: i64, height: i64) -> String {
    let mut path = String::new();
    let mut start = 0;
    for run in values.chunk_by(|a, b| a.is_some() == b.is_some()) {
        let levels: Vec<i64> = run.iter().flatten().map(|value| height - scaled(*value, top, height)).collect();
        match levels.as_slice() {
            [] => {}
            [only] => path.push_str(&format!("M{start} {only}h{BIN}")),
            [first, ..] => {
                path.push_str(&format!("M{} {first}l", start + 1));
                // Relative steps are short and squeeze well.
                let steps: Vec<String> = levels.windows(2).map(|pair| format!("{BIN} {}", pair[1] - pair[0])).collect();
                path.push_str(&steps.join(" "));
            }
        }
        start += run.len() as i64 * BIN;
    }
    path
}

/// `value` of `top` in `height`, to the next unit, never outside.
pub(super) fn scaled(value: i64, top: i64, height: i64) -> i64 {
    let exact = i128::from(value.max(0)) * i128::from(height);
    let top = i128::from(top.max(1));
    i64::try_from((exact + top / 2) / top).unwrap_or(height).min(height)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_interrupts_the_line_and_a_lone_value_is_a_level() {
        assert_eq!(line(&[Some(0), Some(5), Some(10)], 10, 100), "M1 100l2 -50 2 -50");
        assert_eq!(line(&[None, Some(5), None, None, Some(5), Some(6), None], 10, 100), "M2 50h2M9 50l2 -10");
        assert_eq!(line(&[None, None], 10, 100), "");
    }

    #[test]
    fn values_stay_inside() {
        assert_eq!(scaled(i64::MAX, i64::MAX, 168), 168);
        assert_eq!(scaled(20, 10, 168), 168);
        assert_eq!(scaled(-1, 10, 168), 0);
        assert_eq!(scaled(1, 0, 168), 168);
    }
}
