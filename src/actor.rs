//! Who is acting. Every write takes an [`Actor`]; only the edges that proved an identity can make one.

use std::fmt;

use time::{Duration, OffsetDateTime};

use crate::error::{Error, Result};
use crate::ids::{KeyId, OrgId, UserId};

/// How long a person's password counts as proved, for what can't be undone.
pub const PROOF: Duration = Duration::hours(1);

/// Who ended a key, when the report that it was found in public did.
pub const LEAK_REPORT: &str = "Leak report";

/// Role of a person in an organization.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Role {
    /// Manages: keys, webhook, members.
    Admin,
    /// Looks, changes nothing.
    Member,
}

impl Role {
    /// As the database and the screens write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Member => "member",
        }
    }

    /// The inverse of [`Role::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Admin, Self::Member].into_iter().find(|role| role.as_str() == text)
    }
}

/// What staff may do in every organization.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum StaffRole {
    /// Looks.
    Support,
    /// Also suspends, grants, sets limits, makes organizations.
    Operator,
}

impl StaffRole {
    /// As the database and the screens write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Support => "support",
            Self::Operator => "operator",
        }
    }

    /// The inverse of [`StaffRole::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Support, Self::Operator].into_iter().find(|role| role.as_str() == text)
    }
}

/// What an actor may need to be allowed to do inside an organization.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// See keys (never their text), usage, credits.
    Read,
    /// Generate, rotate, revoke, edit keys.
    ManageKeys,
    /// Save, switch, test and remove the webhook, rotate its secret, resend deliveries.
    ManageWebhook,
    /// Set below how many credits to be warned.
    ManageCredits,
    /// Invite, change roles, remove members, ask for a second factor.
    ManageMembers,
    /// Read the audit log.
    ReadAudit,
    /// Grant and adjust credits, set limits, suspend, make organizations.
    Operate,
}

/// Kind of actor, as the audit log distinguishes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActorKind {
    /// A signed-in person.
    User,
    /// A signed-in person of the staff, in an organization that is not the person's own.
    Staff,
    /// A partner's program, by its API key.
    Key,
    /// Somebody at the command line of the machine.
    CommandLine,
    /// Latchkey itself: expiry, leases, housekeeping.
    System,
}

impl ActorKind {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::User, Self::Staff, Self::Key, Self::CommandLine, Self::System];

    /// The inverse of [`ActorKind::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }

    /// As the database writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Staff => "staff",
            Self::Key => "key",
            Self::CommandLine => "command_line",
            Self::System => "system",
        }
    }
}

/// Who is acting, for which organization, from where.
#[derive(Clone)]
pub struct Actor {
    kind: ActorKind,
    id: Option<uuid::Uuid>,
    label: String,
    /// The organization it may act in and its role there; none acts for the deployment.
    place: Option<(OrgId, Role)>,
    /// What it may do everywhere.
    staff: Option<StaffRole>,
    address: Option<String>,
    user_agent: Option<String>,
    /// When it last proved to know its password, for people.
    proved_at: Option<OffsetDateTime>,
}

impl Actor {
    /// A signed-in member of an organization. For the session alone.
    pub fn member(user: UserId, label: String, organization: OrgId, role: Role, address: String, user_agent: String) -> Self {
        Self {
            kind: ActorKind::User,
            id: Some(user.0),
            label,
            place: Some((organization, role)),
            staff: None,
            address: Some(address),
            user_agent: Some(user_agent),
            proved_at: None,
        }
    }

    /// A program that was admitted with an API key of this organization, for what the key's permissions opened. For the Partner
    /// API alone.
    pub fn key(key: KeyId, label: String, organization: OrgId, address: String, user_agent: String) -> Self {
        Self {
            kind: ActorKind::Key,
            id: Some(key.0),
            label,
            place: Some((organization, Role::Member)),
            staff: None,
            address: Some(address),
            user_agent: Some(user_agent),
            proved_at: None,
        }
    }

    /// A person outside any organization, as at sign-in. For the session alone.
    pub fn person(user: Option<UserId>, label: String, address: String, user_agent: String) -> Self {
        Self {
            kind: ActorKind::User,
            id: user.map(|user| user.0),
            label,
            place: None,
            staff: None,
            address: Some(address),
            user_agent: Some(user_agent),
            proved_at: None,
        }
    }

    /// Somebody of the staff, who looks at the organization that is `visited`, if one is. For the session alone.
    pub fn staff(user: UserId, label: String, role: StaffRole, visited: Option<OrgId>, address: String, user_agent: String) -> Self {
        Self {
            kind: ActorKind::Staff,
            place: visited.map(|organization| (organization, Role::Member)),
            staff: Some(role),
            ..Self::person(Some(user), label, address, user_agent)
        }
    }

    /// The same actor, whose password was proved then. For the session alone.
    pub fn proved(self, at: OffsetDateTime) -> Self {
        Self { proved_at: Some(at), ..self }
    }

    /// Somebody who runs commands on the machine: may do everything, to every organization.
    pub fn command_line() -> Self {
        Self {
            kind: ActorKind::CommandLine,
            id: None,
            label: "Command line".into(),
            place: None,
            staff: None,
            address: None,
            user_agent: None,
            proved_at: None,
        }
    }

    /// Latchkey itself.
    pub fn system() -> Self {
        Self { kind: ActorKind::System, label: "Latchkey".into(), ..Self::command_line() }
    }

    /// Somebody, known or not, who reports a key that was found in public. Where the report came from is kept with what it did.
    pub fn leak_report(address: String, user_agent: String) -> Self {
        Self { label: LEAK_REPORT.into(), address: Some(address), user_agent: Some(user_agent), ..Self::system() }
    }

    /// Refuses unless this actor may do `permission` in `organization`.
    ///
    /// # Errors
    /// `NotFound` in an organization that is not the actor's own, so that strangers learn nothing; `Forbidden` in its own.
    pub fn require(&self, organization: OrgId, permission: Permission) -> Result<()> {
        match (self.kind, self.place) {
            (ActorKind::CommandLine | ActorKind::System, _) => Ok(()),
            (ActorKind::User, Some((own, role))) if own == organization => match (permission, role) {
                (Permission::Read, _) => Ok(()),
                (Permission::Operate, _) | (_, Role::Member) => Err(Error::Forbidden),
                (_, Role::Admin) => Ok(()),
            },
            (ActorKind::Staff, place) => match (permission, self.staff) {
                (Permission::Read | Permission::ReadAudit, _) if place.is_some_and(|(visited, _)| visited == organization) => Ok(()),
                (Permission::Read | Permission::ReadAudit, _) => Err(Error::VisitNeeded),
                (Permission::Operate, Some(StaffRole::Operator)) => Ok(()),
                _ => Err(Error::Forbidden),
            },
            // A key never manages keys: what else it may is decided at admission, by the permission of the route.
            (ActorKind::Key, Some((own, _))) if own == organization => match permission {
                Permission::Read | Permission::ManageWebhook => Ok(()),
                _ => Err(Error::Forbidden),
            },
            (ActorKind::User | ActorKind::Key, _) => Err(Error::NotFound),
        }
    }

    /// Refuses a person whose password was last proved more than [`PROOF`] ago, for what can't be undone. Programs and the
    /// command line have none.
    ///
    /// # Errors
    /// `ProofNeeded`.
    pub fn require_proof(&self, now: OffsetDateTime) -> Result<()> {
        match self.kind {
            ActorKind::User | ActorKind::Staff if self.proved_at.is_none_or(|at| at + PROOF <= now) => Err(Error::ProofNeeded),
            _ => Ok(()),
        }
    }

    /// Refuses who is not staff, or less than this.
    ///
    /// # Errors
    /// `NotFound` for everybody else, who need not know of what staff see; `Forbidden` for support where an operator is needed.
    pub fn require_staff(&self, needed: StaffRole) -> Result<()> {
        match (self.kind, self.staff) {
            (ActorKind::CommandLine | ActorKind::System, _) => Ok(()),
            (_, Some(StaffRole::Operator)) => Ok(()),
            (_, Some(StaffRole::Support)) if needed == StaffRole::Support => Ok(()),
            (_, Some(StaffRole::Support)) => Err(Error::Forbidden),
            (_, None) => Err(Error::NotFound),
        }
    }

    /// Its kind.
    pub fn kind(&self) -> ActorKind {
        self.kind
    }

    /// Its id: a person's, if it is one.
    pub fn id(&self) -> Option<uuid::Uuid> {
        self.id
    }

    /// The person, when it is one.
    pub fn user_id(&self) -> Option<UserId> {
        self.id.filter(|_| matches!(self.kind, ActorKind::User | ActorKind::Staff)).map(UserId)
    }

    /// Its name, as kept in histories.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Where it called from.
    pub fn address(&self) -> Option<&str> {
        self.address.as_deref()
    }

    /// With which program.
    pub fn user_agent(&self) -> Option<&str> {
        self.user_agent.as_deref()
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.label)
    }
}
