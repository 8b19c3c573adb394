//! Heat maps: rows of cells, the warmer the more.

/// Shades above that of 0.
pub const LEVELS: usize = 6;

/// Shade of each value: 0 for 0, else one of [`LEVELS`] equal steps up to the greatest. None where there is no value.
pub fn levels<const N: usize>(rows: &[[Option<f64>; N]]) -> Vec<[Option<usize>; N]> {
    let most = rows.iter().flatten().flatten().copied().fold(0.0, f64::max);
    let level = |value: f64| if value > 0.0 { ((value * LEVELS as f64 / most).ceil() as usize).clamp(1, LEVELS) } else { 0 };
    rows.iter().map(|row| row.map(|value| value.map(level))).collect()
}

/// One path for each shade, to be stroked two units wide in a `viewBox` of one unit a column and two a row.
pub fn shades<const N: usize>(rows: &[[Option<usize>; N]]) -> [String; LEVELS + 1] {
    std::array::from_fn(|shade| {
        let mut path = String::new();
        for (row, cells) in rows.iter().enumerate() {
            let mut column = 0;
            for run in cells.chunk_by(|a, b| a == b) {
                if run.first() == Some(&Some(shade)) {
                    path.push_str(&format!("M{column} {}h{}", row * 2 + 1, run.len()));
                }
                column += run.len();
            }
        }
        path
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shades_are_equal_steps_of_the_greatest() {
        let rows = [[Some(0.0), Some(0.1), Some(100.0), Some(100.1), Some(600.0), None]];
        assert_eq!(levels(&rows), [[Some(0), Some(1), Some(1), Some(2), Some(6), None]]);
        assert_eq!(levels(&[[Some(0.0), None]]), [[Some(0), None]], "nothing at all is not the most");
    }

    #[test]
    fn every_cell_with_a_value_is_in_one_shade() {
        let rows = [[Some(2), Some(2), Some(0)], [Some(2), None, Some(0)]];
        let paths = shades(&rows);
        assert_eq!(paths[0], "M2 1h1M2 3h1");
        assert_eq!(paths[2], "M0 1h2M0 3h1");
        assert!(paths.iter().enumerate().all(|(shade, path)| matches!(shade, 0 | 2) || path.is_empty()));
    }
}
