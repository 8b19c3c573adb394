//! Where the lines of a grid are.

/// Most spaces between the lines of a large plot.
const SPACES: i64 = 4;

/// Whole numbers for the lines of a plot that starts at 0 and reaches `most`, lowest first: three to five of them, in steps of 1, 2, 2.5 or
/// 5 times a power of ten. Fewer only where there are no more whole numbers.
pub fn ticks(most: i64) -> Vec<i64> {
    Scale::of(most, SPACES).ticks
}

/// A scale from 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scale {
    /// Values with a line, lowest first, evenly spaced.
    pub ticks: Vec<i64>,
}

impl Scale {
    /// Reaches `most` with at most `spaces` spaces between its lines.
    pub fn of(most: i64, spaces: i64) -> Self {
        // What is added to it, and the steps themselves, have to be numbers still.
        let most = most.clamp(1, i64::MAX / 100);
        let enough = |step: &i64| spaces_to(most, *step) <= spaces;
        let step = (0..18).map(|power| 10_i64.pow(power)).flat_map(|ten| [Some(ten), Some(2 * ten), quarter(ten), Some(5 * ten)]);
        let step = step.flatten().find(enough).unwrap_or(most);
        Self { ticks: (0..=spaces_to(most, step)).map(|place| place * step).collect() }
    }

    /// The highest value.
    pub fn top(&self) -> i64 {
        self.ticks.last().copied().unwrap_or(1)
    }
}

/// Two and a half, where that is whole.
fn quarter(ten: i64) -> Option<i64> {
    (ten >= 10).then_some(ten / 10 * 25)
}

/// Spaces of `step` until `most` is reached.
fn spaces_to(most: i64, step: i64) -> i64 {
    (most + step - 1) / step
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_few_and_at_round_numbers() {
        for (most, lines) in [
            (0, vec![0, 1]),
            (1, vec![0, 1]),
            (2, vec![0, 1, 2]),
            (7, vec![0, 2, 4, 6, 8]),
            (9, vec![0, 5, 10]),
            (90, vec![0, 25, 50, 75, 100]),
            (1_380, vec![0, 500, 1_000, 1_500]),
            (12_345_678, vec![0, 5_000_000, 10_000_000, 15_000_000]),
        ] {
            assert_eq!(ticks(most), lines, "{most}");
        }
    }

    #[test]
    fn every_scale_reaches_its_most_without_leaving_half_of_it_empty() {
        for most in (3..2_000).chain([99_999, 100_001, i64::MAX / 100]) {
            let ticks = ticks(most);
            assert!((3..=5).contains(&ticks.len()), "{most}: {ticks:?}");
            let top = *ticks.last().unwrap();
            assert!(top >= most && top < most * 2, "{most}: {ticks:?}");
        }
        assert!(!ticks(i64::MAX).is_empty(), "and none is too great");
        assert!(!ticks(i64::MIN).is_empty());
    }
}
