//! A plot: what is drawn, the lines behind it, and their numbers.

use super::line::BIN;
use super::{Scale, line, stack, ticks};

/// Units from the bottom of bars to their top: as many as the pixels, of which a small screen has fewer.
const BARS: i64 = 200;
/// The same of lines, which are small: two to a pixel.
const LINES: i64 = 168;

/// Something drawn.
#[derive(Debug, Clone)]
pub struct Mark {
    /// Its colour in the stylesheet.
    pub class: &'static str,
    /// Its path.
    pub path: String,
}

/// Bars or lines over time, from 0.
#[derive(Debug, Clone)]
pub struct Plot {
    /// Units of the `viewBox`.
    pub width: i64,
    /// The same.
    pub height: i64,
    /// Numbers of the lines of the grid, the highest first.
    pub ticks: Vec<String>,
    /// Path of the lines of the grid but the lowest.
    pub grid: String,
    /// What is drawn, in this order.
    pub marks: Vec<Mark>,
    /// For bars, path of what keeps them apart.
    pub gaps: Option<String>,
    /// What it says, for those who don't see it.
    pub label: String,
}

impl Plot {
    /// Stacked bars, the lowest part first, with a class for each part.
    pub fn of_bars<const N: usize>(bars: &[[i64; N]], classes: [&'static str; N], tick: fn(i64) -> String, label: String) -> Self {
        let most = bars.iter().map(|bar| bar.iter().sum()).max().unwrap_or(0);
        let scale = Scale { ticks: ticks(most) };
        let paths = stack(bars, scale.top(), BARS);
        let marks = classes.into_iter().zip(paths).map(|(class, path)| Mark { class, path }).rev();
        let gaps = format!("M1 0v{BARS}{}", format!("m1-{BARS}v{BARS}").repeat(bars.len().saturating_sub(2)));
        let marks = marks.filter(|mark| !mark.path.is_empty()).collect();
        Self { marks, gaps: (bars.len() > 1).then_some(gaps), ..Self::empty(bars.len() as i64, BARS, &scale, tick, label) }
    }

    /// Lines with their classes, all of the same length, whose highest point is `most`.
    pub fn of_lines(lines: &[(&'static str, Vec<Option<i64>>)], scale: &Scale, tick: fn(i64) -> String, label: String) -> Self {
        let width = lines.first().map_or(1, |(_, values)| values.len()) as i64 * BIN;
        let marks = lines.iter().map(|(class, values)| Mark { class, path: line(values, scale.top(), LINES) }).collect();
        Self { marks, ..Self::empty(width, LINES, scale, tick, label) }
    }

    fn empty(width: i64, height: i64, scale: &Scale, tick: fn(i64) -> String, label: String) -> Self {
        let spaces = scale.ticks.len().max(2) as i64 - 1;
        let grid = (0..spaces).map(|place| format!("M0 {}H{width}", place * height / spaces)).collect();
        let ticks = scale.ticks.iter().rev().map(|value| tick(*value)).collect();
        Self { width, height, ticks, grid, marks: Vec::new(), gaps: None, label }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::charts::compact;

    #[test]
    fn bars_are_drawn_from_the_highest_part_to_the_lowest_which_covers_them() {
        let plot = Plot::of_bars(&[[60, 0, 5], [90, 0, 0]], ["a", "b", "c"], compact, String::new());
        assert_eq!(plot.marks.iter().map(|mark| mark.class).collect::<Vec<_>>(), ["c", "a"]);
        assert_eq!(plot.ticks, ["100", "75", "50", "25", "0"]);
        assert_eq!(plot.grid, "M0 0H2M0 50H2M0 100H2M0 150H2");
        assert_eq!(plot.gaps.as_deref(), Some("M1 0v200"));
    }

    /// The numbers after each of these commands of a path, in their order.
    fn numbers(path: &str, command: char) -> Vec<i64> {
        let number = |rest: &str| rest.split(|c: char| c.is_ascii_alphabetic() || c == ' ').next()?.parse().ok();
        path.split(command).skip(1).filter_map(number).collect()
    }

    #[test]
    fn whatever_the_values_nothing_leaves_the_plot() {
        let bars: Vec<[i64; 4]> = (0..90).map(|n| [n * n * 1_523, n % 7, n % 11 * 40, i64::from(n == 80) * 12_345_678]).collect();
        let plot = Plot::of_bars(&bars, ["c1", "c2", "c3", "c4"], compact, String::new());
        assert_eq!((plot.width, plot.marks.len()), (90, 4));
        for mark in &plot.marks {
            assert!(numbers(&mark.path, 'V').iter().all(|y| (0..=plot.height).contains(y)), "{}", mark.path);
            let right = numbers(&mark.path, 'M')[0] + numbers(&mark.path, 'h').iter().sum::<i64>();
            assert!(right > 80 && right <= plot.width, "{}", mark.path);
        }
    }
}
