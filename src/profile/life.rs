//! The life of a job, as its events tell it.

use super::{JobKind, Profile};

/// A moment in the life of a job of thirteen events: started, ten times progress, completed.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// Last word of the event's type.
    word: &'static str,
    /// When it is sent, for people, to follow or to begin a sentence.
    pub what: &'static str,
    /// The state that the job is in with it.
    pub status: &'static str,
    /// How far it has come: 0 to 100.
    pub percentage: i16,
    /// Its place among the job's events, from 1.
    pub sequence: i32,
}

const LIFE: [Moment; 4] = [
    Moment { word: "started", what: "a worker took the job", status: "processing", percentage: 0, sequence: 1 },
    Moment { word: "progress", what: "each 10% passed", status: "processing", percentage: 50, sequence: 6 },
    Moment { word: "completed", what: "its results are ready", status: "completed", percentage: 100, sequence: 12 },
    Moment { word: "failed", what: "it failed, with code and message", status: "failed", percentage: 50, sequence: 7 },
];

impl Profile {
    /// Every type of event that tells of a job, with a moment to show it: each kind in the order of its life. Kinds that share a prefix
    /// share their events.
    pub fn job_events(&self) -> Vec<(String, &JobKind, Moment)> {
        let mut events: Vec<(String, &JobKind, Moment)> = Vec::new();
        for (kind, moment) in self.jobs.iter().flat_map(|kind| LIFE.map(|moment| (kind, moment))) {
            let name = format!("{}.{}", kind.event_prefix, moment.word);
            if !events.iter().any(|(known, ..)| *known == name) {
                events.push((name, kind, moment));
            }
        }
        events
    }
}
