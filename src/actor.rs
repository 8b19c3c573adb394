//! Who is acting. Every write takes an [`Actor`]; only the edges that proved an identity can make one.

use std::fmt;

use crate::error::{Error, Result};
use crate::ids::{KeyId, OrgId, UserId};

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
    /// Grant and adjust credits, set limits, suspend.
    Operate,
}

/// Kind of actor, as the audit log distinguishes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActorKind {
    /// A signed-in person.
    User,
    /// A partner's program, by its API key.
    Key,
    /// Somebody at the command line of the machine.
    CommandLine,
    /// Latchkey itself: expiry, leases, housekeeping.
    System,
}

impl ActorKind {
    /// As the database writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
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
    address: Option<String>,
    user_agent: Option<String>,
}

impl Actor {
    /// A signed-in member of an organization. For the session alone.
    pub fn member(user: UserId, label: String, organization: OrgId, role: Role, address: String, user_agent: String) -> Self {
        Self {
            kind: ActorKind::User,
            id: Some(user.0),
            label,
            place: Some((organization, role)),
            address: Some(address),
            user_agent: Some(user_agent),
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
            address: Some(address),
            user_agent: Some(user_agent),
        }
    }

    /// A person outside any organization, as at sign-in. For the session alone.
    pub fn person(user: Option<UserId>, label: String, address: String, user_agent: String) -> Self {
        Self {
            kind: ActorKind::User,
            id: user.map(|user| user.0),
            label,
            place: None,
            address: Some(address),
            user_agent: Some(user_agent),
        }
    }

    /// Somebody who runs commands on the machine: may do everything, to every organization.
    pub fn command_line() -> Self {
        Self { kind: ActorKind::CommandLine, id: None, label: "Command line".into(), place: None, address: None, user_agent: None }
    }

    /// Latchkey itself.
    pub fn system() -> Self {
        Self { kind: ActorKind::System, label: "Latchkey".into(), ..Self::command_line() }
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
                (Permission::ManageKeys | Permission::ManageWebhook | Permission::ManageCredits, Role::Admin) => Ok(()),
                _ => Err(Error::Forbidden),
            },
            // A key never manages keys: what else it may is decided at admission, by the permission of the route.
            (ActorKind::Key, Some((own, _))) if own == organization => match permission {
                Permission::Read | Permission::ManageWebhook => Ok(()),
                Permission::ManageKeys | Permission::ManageCredits | Permission::Operate => Err(Error::Forbidden),
            },
            (ActorKind::User | ActorKind::Key, _) => Err(Error::NotFound),
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
        self.id.filter(|_| self.kind == ActorKind::User).map(UserId)
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
