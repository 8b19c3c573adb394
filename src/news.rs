//! Who has something to deliver: a bell like [`Wake`], whose ringers say whose it is, so that the dispatcher looks at that
//! organization and not through all that wait for something.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use crate::ids::OrgId;
use crate::wake::{Ear, Wake};

/// The bell with its list. Clones share both.
#[derive(Clone, Default)]
pub struct News {
    bell: Wake,
    named: Arc<Mutex<Named>>,
}

/// Who was named since somebody last asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Named {
    /// These organizations.
    pub organizations: BTreeSet<OrgId>,
    /// And any other too: somebody rang who could not say whose it was.
    pub everybody: bool,
}

impl News {
    /// Call it after the commit that left something to deliver for this organization.
    pub fn ring(&self, organization: OrgId) {
        self.name(|named| {
            named.organizations.insert(organization);
        });
    }

    /// The same where it may be any organization's.
    pub fn ring_for_everybody(&self) {
        self.name(|named| named.everybody = true);
    }

    /// Who was named since the last call. Take it before looking for what they have: who rings after that rings again.
    pub fn take(&self) -> Named {
        std::mem::take(&mut self.named.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// See [`Wake::listen`].
    pub fn listen(&self) -> Ear {
        self.bell.listen()
    }

    /// See [`Wake::stop`].
    pub fn stop(&self) {
        self.bell.stop();
    }

    /// See [`Wake::is_stopped`].
    pub fn is_stopped(&self) -> bool {
        self.bell.is_stopped()
    }

    fn name(&self, add: impl FnOnce(&mut Named)) {
        // A set and a flag can't be left half-changed.
        add(&mut self.named.lock().unwrap_or_else(PoisonError::into_inner));
        self.bell.ring();
    }
}
