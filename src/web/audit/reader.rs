//! Who reads which logs: an admin or visiting staff that of one organization, staff those of all.

use actix_web::web::Data;
use uuid::Uuid;

use super::asked::{self, Asked};
use crate::actor::{Actor, Permission, StaffRole};
use crate::audit::DEPLOYMENT;
use crate::audit::read::{self, Cursor, Entry, EntryId, Filter, Page};
use crate::error::{Error, Result};
use crate::ids::OrgId;
use crate::orgs;
use crate::site::Site;
use crate::web::{Frame, Member, Section, Staff};

/// Stands for the deployment's own log where a slug is asked for; no slug is like it.
const NO_ORGANIZATION: &str = "-";

/// The reader of a page or a file.
pub struct Reader {
    pub site: Data<Site>,
    pub actor: Actor,
    pub frame: Frame,
    /// The organization whose log it is; none for all.
    pub organization: Option<OrgId>,
    /// Address of the page.
    pub base: String,
}

impl Reader {
    /// Of one organization's log.
    ///
    /// # Errors
    /// `Forbidden` for members, before anything of theirs is looked at.
    pub fn of_member(member: Member) -> Result<Self> {
        let Member { site, actor, organization, frame, .. } = member;
        actor.require(organization.id, Permission::ReadAudit)?;
        let frame = frame.in_section(Section::AuditLog);
        Ok(Self { base: frame.path("audit-log"), site, actor, organization: Some(organization.id), frame })
    }

    /// Of all logs.
    ///
    /// # Errors
    /// `NotFound` for who is not staff.
    pub fn of_staff(staff: Staff) -> Result<Self> {
        let person = staff.person;
        person.actor.require_staff(StaffRole::Support)?;
        let (site, frame) = (person.site, person.frame.in_section(Section::StaffAuditLog));
        Ok(Self { site, actor: person.actor, frame, organization: None, base: "/support/audit-log".into() })
    }

    /// The chain whose entries need no chain in their ids.
    pub fn own(&self) -> Option<Uuid> {
        self.organization.map(|organization| organization.0)
    }

    /// The chain that staff ask for alone.
    pub async fn scope(&self, asked: &Asked) -> Result<Option<Uuid>> {
        let slug = asked.organization.clone();
        match (self.organization, slug.as_str()) {
            (Some(_), _) | (None, "") => Ok(None),
            (None, NO_ORGANIZATION) => Ok(Some(DEPLOYMENT)),
            _ => {
                let unknown = Error::field("organization", format!("There is no organization with the slug {slug:?}."));
                let found = self.site.db.run(move |conn| orgs::by_slug(conn, &slug)).await;
                match found {
                    Err(Error::NotFound) => Err(unknown),
                    found => Ok(Some(found?.id.0)),
                }
            }
        }
    }

    pub async fn page(&self, scope: Option<Uuid>, filter: Filter, cursor: Option<Cursor>, limit: usize) -> Result<Page> {
        let (actor, organization) = (self.actor.clone(), self.organization);
        let read = move |conn: &mut _| match organization {
            Some(organization) => read::entries(conn, &actor, organization, &filter, cursor, limit),
            None => read::all_entries(conn, &actor, scope, &filter, cursor, limit),
        };
        self.site.db.run(read).await
    }

    pub async fn entry(&self, id: EntryId) -> Result<Entry> {
        let (actor, organization) = (self.actor.clone(), self.organization);
        let read = move |conn: &mut _| match organization {
            Some(organization) if organization.0 != id.chain => Err(Error::NotFound),
            Some(organization) => read::entry(conn, &actor, organization, id.sequence),
            None => read::any_entry(conn, &actor, id),
        };
        self.site.db.run(read).await
    }

    /// The entry that this names for this reader.
    pub fn parse(&self, text: &str) -> Result<EntryId> {
        asked::parse(text, self.own()).ok_or(Error::NotFound)
    }
}
