//! Where an attempt's time went, as one bar.

use crate::web::filters::grouped;

const NAMES: [&str; 5] = ["DNS", "Connect", "TLS", "First byte", "Rest"];
/// Units between two parts of the bar, of a thousand.
const GAP: i64 = 4;

/// One lap.
pub(super) struct Lap {
    pub(super) name: &'static str,
    /// Its shade in the stylesheet.
    pub(super) class: &'static str,
    /// `19 ms`.
    pub(super) text: String,
    /// Where it begins and how long it is, in thousandths of the bar.
    pub(super) x: i64,
    pub(super) width: i64,
}

/// Where an attempt's time went.
pub(super) struct Laps(pub(super) Vec<Lap>);

impl Laps {
    /// Microseconds of each lap, none for what did not happen, and of all of it. `answered`: what the laps leave of the total was
    /// reading the answer; else it was waiting in vain, and the bar stays empty there.
    pub(super) fn of(laps: [Option<i64>; 4], total: i64, answered: bool) -> Self {
        let known: i64 = laps.iter().flatten().sum();
        let rest = answered.then(|| (total - known).max(0));
        let scale = |micros: i64| micros * 1_000 / total.max(known).max(1);
        let (mut shown, mut start) = (Vec::new(), 0);
        for (place, micros) in laps.into_iter().chain([rest]).enumerate() {
            let Some(micros) = micros else { continue };
            let width = scale(micros);
            let classes = ["lap1", "lap2", "lap3", "lap4", "lap5"];
            let (name, class) = (NAMES[place], classes[place]);
            shown.push(Lap { name, class, text: millis(micros), x: scale(start), width: (width - GAP).max(2) });
            start += micros;
        }
        Self(shown)
    }

    /// The bar in words.
    pub(super) fn label(&self) -> String {
        self.0.iter().map(|lap| format!("{} {}", lap.name, lap.text)).collect::<Vec<_>>().join(", ")
    }
}

/// `123 ms`; below ten with a tenth: `4.2 ms`.
pub(super) fn millis(micros: i64) -> String {
    match micros {
        ..10_000 if micros % 1_000 >= 50 => format!("{:.1} ms", micros as f64 / 1_000.0),
        _ => format!("{} ms", grouped((micros + 500) / 1_000)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_fill_the_bar_only_where_an_answer_came() {
        let whole = Laps::of([Some(4_000), Some(19_000), None, Some(62_000)], 100_000, true);
        assert_eq!(whole.label(), "DNS 4 ms, Connect 19 ms, First byte 62 ms, Rest 15 ms");
        assert_eq!(whole.0.iter().map(|lap| lap.x).collect::<Vec<_>>(), [0, 40, 230, 850]);
        let vain = Laps::of([Some(300), Some(200), None, None], 15_000_000, false);
        assert_eq!(vain.label(), "DNS 0.3 ms, Connect 0.2 ms");
        assert!(vain.0.iter().all(|lap| lap.x + lap.width < 10));
        assert!(Laps::of([None; 4], 0, false).0.is_empty());
    }

    #[test]
    fn milliseconds_read_as_people_say_them() {
        for (micros, text) in
            [(40, "0 ms"), (320, "0.3 ms"), (4_000, "4 ms"), (9_960, "10.0 ms"), (123_400, "123 ms"), (15_000_000, "15,000 ms")]
        {
            assert_eq!(millis(micros), text);
        }
    }
}
