//! Spark lines: without axes, in units of their `viewBox`.

/// A spark line.
#[derive(Debug, Clone)]
pub struct Spark {
    /// Path of the line.
    pub line: String,
    /// Path of the ground below it.
    pub area: String,
    /// Smallest value.
    pub least: i64,
    /// Greatest value.
    pub most: i64,
}

impl Spark {
    /// Draws `values`, none below zero, from left to right.
    pub fn of(values: &[i64], width: usize, height: usize) -> Self {
        let (least, most) = (values.iter().copied().min().unwrap_or(0), values.iter().copied().max().unwrap_or(0));
        // The line is two units wide: it keeps clear of both edges.
        let (floor, room) = (height.saturating_sub(2) as f64, height.saturating_sub(4) as f64);
        let last = values.len().saturating_sub(1).max(1) as f64;
        let point = |(place, value): (usize, &i64)| {
            let x = place as f64 * width as f64 / last;
            let y = floor - *value as f64 / most.max(1) as f64 * room;
            format!("{} {}", rounded(x), rounded(y))
        };
        let mut points: Vec<String> = values.iter().enumerate().map(point).collect();
        if let [only] = points.as_slice() {
            let level = only.split_once(' ').map_or("", |(_, level)| level);
            points.push(format!("{width} {level}"));
        }
        let line = format!("M{}", points.join(" "));
        Self { area: format!("{line}V{height}H0z"), line, least, most }
    }
}

/// A coordinate with one decimal, none where it is zero.
pub fn rounded(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map_or(text.clone(), ToOwned::to_owned)
}

#[cfg(test)]
mod tests {
    use super::Spark;

    #[test]
    fn lines_stay_inside() {
        assert_eq!(Spark::of(&[0, 8, 4], 48, 20).line, "M0 18 24 2 48 10");
        assert_eq!(Spark::of(&[0, 0], 48, 20).area, "M0 18 48 18V20H0z");
        assert_eq!(Spark::of(&[3], 48, 20).line, "M0 2 48 2");
    }
}
