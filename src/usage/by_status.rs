//! What a row of a rollup holds of each status, side by side in one value, so that a period is few rows.
//!
//! The form in the database: for each status, in order, the status and the length of what follows, two bytes each with the greater
//! one first, and what follows. Values put one behind the other are a value too, which is how the database brings rows together.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use super::histogram::Tally;

/// What is counted of each status.
#[derive(Debug, Default)]
pub(super) struct ByStatus(BTreeMap<i16, Sums>);

#[derive(Debug, Default)]
struct Sums {
    requests: i64,
    durations: Tally,
    hours: Tally,
}

impl ByStatus {
    /// Adds requests of a bucket of durations and of an hour of the day.
    pub(super) fn add(&mut self, status: i16, bucket: i16, hour: i16, requests: i64) {
        let sums = self.0.entry(status).or_default();
        sums.requests += requests;
        sums.durations.add(bucket, requests);
        sums.hours.add(hour, requests);
    }

    /// Adds what was written by [`ByStatus::statuses`], [`ByStatus::durations`] of all statuses in whatever order, and [`ByStatus::hours`].
    pub(super) fn add_bytes(&mut self, statuses: &[u8], durations: &[u8], hours: &[u8]) {
        each_count(statuses, &ALL, |status, requests| self.0.entry(status).or_default().requests += requests);
        each(durations, &ALL, |status, bytes| self.0.entry(status).or_default().durations.add_bytes(bytes));
        each(hours, &ALL, |status, bytes| self.0.entry(status).or_default().hours.add_bytes(bytes));
    }

    pub(super) fn requests(&self) -> i64 {
        self.0.values().map(|sums| sums.requests).sum()
    }

    pub(super) fn statuses(&self) -> Vec<u8> {
        to_bytes(self.0.iter(), |sums| sums.requests.to_be_bytes().to_vec())
    }

    /// Of these statuses.
    pub(super) fn durations(&self, statuses: RangeInclusive<i16>) -> Vec<u8> {
        to_bytes(self.0.range(statuses), |sums| sums.durations.to_bytes())
    }

    /// Of all statuses together, in the same form: as if of one that there is not.
    pub(super) fn all_durations(&self) -> Vec<u8> {
        let mut all = Tally::default();
        self.0.values().for_each(|sums| all.add_all(&sums.durations));
        let mut bytes = Vec::new();
        put(&mut bytes, 0, &all.to_bytes());
        bytes
    }

    pub(super) fn hours(&self) -> Vec<u8> {
        to_bytes(self.0.iter(), |sums| sums.hours.to_bytes())
    }
}

/// Statuses of what was done as asked, and of what was not: kept apart, so that what is asked of the one need not read the other.
pub(super) const ACCEPTED: RangeInclusive<i16> = 0..=399;
pub(super) const REFUSED: RangeInclusive<i16> = 400..=i16::MAX;

fn to_bytes<'a>(of_statuses: impl Iterator<Item = (&'a i16, &'a Sums)>, which: impl Fn(&Sums) -> Vec<u8>) -> Vec<u8> {
    let mut bytes = Vec::new();
    of_statuses.for_each(|(status, sums)| put(&mut bytes, *status, &which(sums)));
    bytes
}

fn put(bytes: &mut Vec<u8>, status: i16, of_status: &[u8]) {
    bytes.extend(status.to_be_bytes());
    // A tally of all the buckets there can be is a tenth of what fits.
    bytes.extend((of_status.len() as i16).to_be_bytes());
    bytes.extend(of_status);
}

/// Whatever the status.
const ALL: RangeInclusive<i16> = i16::MIN..=i16::MAX;

/// Tells what there is of these statuses; what can't be read ends it.
pub(super) fn each<'a>(bytes: &'a [u8], statuses: &RangeInclusive<i16>, mut tell: impl FnMut(i16, &'a [u8])) {
    let mut rest = bytes;
    while let Some(([s, t, l, m], behind)) = rest.split_first_chunk() {
        let (status, length) = (i16::from_be_bytes([*s, *t]), usize::from(u16::from_be_bytes([*l, *m])));
        let Some((of_status, behind)) = behind.split_at_checked(length) else { return };
        if statuses.contains(&status) {
            tell(status, of_status);
        }
        rest = behind;
    }
}

/// Tells how many requests there are of these statuses.
pub(super) fn each_count(bytes: &[u8], statuses: &RangeInclusive<i16>, mut tell: impl FnMut(i16, i64)) {
    each(bytes, statuses, |status, bytes| {
        if let Ok(bytes) = bytes.try_into() {
            tell(status, i64::from_be_bytes(bytes));
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_added() {
        let mut sums = ByStatus::default();
        sums.add(200, 7, 23, 3);
        sums.add(429, 9, 0, 1);
        let mut twice = ByStatus::default();
        for _ in 0..2 {
            twice.add_bytes(&sums.statuses(), &[sums.durations(REFUSED), sums.durations(ACCEPTED)].concat(), &sums.hours());
        }
        assert_eq!(twice.requests(), 8);
        let counted = |bytes: &[u8], statuses| {
            let mut counted = Vec::new();
            each_count(bytes, &statuses, |status, requests| counted.push((status, requests)));
            counted
        };
        assert_eq!(counted(&twice.statuses(), ALL), [(200, 6), (429, 2)]);
        assert_eq!(counted(&twice.statuses(), 400..=499), [(429, 2)]);
        // Rows behind one another, and a row that was cut off.
        assert_eq!(counted(&[sums.statuses(), twice.statuses()].concat(), 200..=200), [(200, 3), (200, 6)]);
        assert_eq!(counted(&sums.statuses()[..20], ALL), [(200, 3)]);
        let mut hours = Vec::new();
        each(&twice.hours(), &ALL, |status, bytes| {
            super::super::histogram::each(bytes, |hour, requests| hours.push((status, hour, requests)))
        });
        assert_eq!(hours, [(200, 23, 6), (429, 0, 2)]);
        let mut all = Tally::default();
        each(&twice.all_durations(), &ALL, |_, bytes| all.add_bytes(bytes));
        let mut expected = Tally::default();
        expected.add(7, 6);
        expected.add(9, 2);
        assert_eq!(all, expected);
    }
}
