//! Numbers by small keys in few bytes: durations by their bucket, requests by their hour.
//!
//! The form in the database: for each key that has any, in order, the step from the key before and the number, both as LEB128. A
//! histogram of a busy hour is some forty bytes.

use super::Durations;

/// Each bucket is a tenth wider than the one before, so what a bucket stands for is within five hundredths of all in it.
const GROWTH: f64 = 1.1;

/// The bucket of a duration in microseconds.
pub(super) fn bucket(duration_us: i32) -> i16 {
    (f64::from(duration_us.max(1)).ln() / GROWTH.ln()).round() as i16
}

/// What a bucket stands for, in microseconds.
fn middle(bucket: i16) -> i64 {
    GROWTH.powi(bucket.into()).round() as i64
}

/// Numbers by key, with a place for each: a period of a busy organization adds up hundreds of thousands of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Tally(Vec<i64>);

impl Tally {
    pub(super) fn add(&mut self, key: i16, number: i64) {
        let place = usize::try_from(key).unwrap_or(0);
        if place >= self.0.len() {
            self.0.resize(place + 1, 0);
        }
        self.0[place] += number;
    }

    /// Adds what was written by [`Tally::to_bytes`]; what can't be read ends it.
    #[inline]
    pub(super) fn add_bytes(&mut self, bytes: &[u8]) {
        each(bytes, |key, number| match self.0.get_mut(key as usize) {
            Some(place) => *place += number,
            None => self.add(key, number),
        });
    }

    pub(super) fn add_all(&mut self, other: &Self) {
        other.each(|key, number| self.add(key, number));
    }

    fn each(&self, mut tell: impl FnMut(i16, i64)) {
        (0..).zip(&self.0).filter(|(_, number)| **number != 0).for_each(|(key, number)| tell(key, *number));
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let (mut bytes, mut before) = (Vec::new(), 0);
        self.each(|key, number| {
            write(&mut bytes, (key - before).unsigned_abs().into());
            // What is taken away may be folded before what it was added by: a number below zero comes back as it was.
            write(&mut bytes, number as u64);
            before = key;
        });
        bytes
    }

    pub(super) fn durations(&self) -> Durations {
        Durations { p50: self.quantile(50), p95: self.quantile(95) }
    }

    /// The least bucket that holds, with all below it, so many hundredths.
    fn quantile(&self, hundredths: i64) -> Option<i64> {
        let wanted = (self.0.iter().sum::<i64>() * hundredths + 99) / 100;
        let mut seen = 0;
        (0..)
            .zip(&self.0)
            .find(|(_, number)| {
                seen += **number;
                **number > 0 && seen >= wanted
            })
            .map(|(bucket, _)| middle(bucket))
    }
}

/// Reads what [`Tally::to_bytes`] wrote.
#[inline]
pub(super) fn each(bytes: &[u8], mut tell: impl FnMut(i16, i64)) {
    let (mut rest, mut key) = (bytes, 0i16);
    loop {
        let (step, number) = match rest {
            // Nearly all are so: the next bucket, and a number of two bytes at most.
            [step @ ..0x80, number @ ..0x80, behind @ ..] => {
                rest = behind;
                (u64::from(*step), u64::from(*number))
            }
            [step @ ..0x80, low, high @ ..0x80, behind @ ..] => {
                rest = behind;
                (u64::from(*step), u64::from(low & 0x7f) | u64::from(*high) << 7)
            }
            _ => match (read(&mut rest), read(&mut rest)) {
                (Some(step), Some(number)) => (step, number),
                _ => return,
            },
        };
        // No key is as great as what a broken text might sum to.
        key = key.saturating_add(step.min(4_096) as i16).min(4_096);
        tell(key, number as i64);
    }
}

fn write(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn read(bytes: &mut &[u8]) -> Option<u64> {
    let (mut number, mut shift) = (0, 0);
    while let Some((byte, rest)) = bytes.split_first() {
        *bytes = rest;
        number |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some(number);
        }
        shift += 7;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_added() {
        let mut tally = Tally::default();
        for (key, number) in [(0, 1), (17, 127), (18, 128), (19, -1), (20, -300), (225, i64::MAX / 4)] {
            tally.add(key, number);
        }
        let mut twice = Tally::default();
        twice.add_bytes(&tally.to_bytes());
        assert_eq!(twice, tally);
        twice.add_bytes(&tally.to_bytes());
        let mut told = Vec::new();
        twice.each(|key, number| told.push((key, number)));
        assert_eq!(told, [(0, 2), (17, 254), (18, 256), (19, -2), (20, -600), (225, i64::MAX / 4 * 2)]);
        assert!(Tally::default().to_bytes().is_empty());
    }

    #[test]
    fn quantiles_are_within_five_hundredths() {
        for scale in [1, 37, 1_000, 2_000_000] {
            let (mut tally, mut total) = (Tally::default(), Tally::default());
            (1..=1_000).for_each(|n| tally.add(bucket(n * scale), 1));
            total.add_bytes(&tally.to_bytes());
            let Durations { p50: Some(p50), p95: Some(p95) } = total.durations() else { panic!("none") };
            for (found, exact) in [(p50, 500), (p95, 950)] {
                let exact = exact * i64::from(scale);
                assert!((found - exact).abs() as f64 <= exact as f64 * 0.05 + 1.0, "{found} for {exact}");
            }
        }
        assert_eq!(Tally::default().durations(), Durations::default());
        assert!(bucket(0) == 0 && bucket(i32::MAX) < 300);
    }
}
