//! What is around every screen: header, switcher, tabs, footer.

use time::OffsetDateTime;

use super::flash::{Flash, Tone};
use crate::accounts::Visit;
use crate::actor::Role;
use crate::clock;
use crate::credits::Low;
use crate::keys::LeakedKey;
use crate::orgs::Organization;
use crate::site::Site;
use crate::support;

/// The tabs of the page "API", in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tab {
    /// `/orgs/{slug}/api-keys`.
    Keys,
    /// `/orgs/{slug}/webhooks`.
    Webhooks,
    /// `/orgs/{slug}/usage`.
    Usage,
    /// `/orgs/{slug}/credits`.
    Credits,
}

impl Tab {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Keys, Self::Webhooks, Self::Usage, Self::Credits];

    /// Whether it is that one.
    pub fn is(self, other: Self) -> bool {
        self == other
    }

    /// As people read it.
    pub fn label(self) -> &'static str {
        match self {
            Self::Keys => "API Keys",
            Self::Webhooks => "Webhooks",
            Self::Usage => "Usage",
            Self::Credits => "Credits",
        }
    }

    /// Last part of its URL.
    pub fn path(self) -> &'static str {
        match self {
            Self::Keys => "api-keys",
            Self::Webhooks => "webhooks",
            Self::Usage => "usage",
            Self::Credits => "credits",
        }
    }
}

/// What of the header is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// The four tabs.
    Api,
    /// Who belongs to the organization.
    Members,
    /// What was done in it.
    AuditLog,
    /// The reader's own account.
    Account,
    /// Staff: the organizations.
    Organizations,
    /// Staff: what was done anywhere.
    StaffAuditLog,
}

impl Section {
    /// Whether it is that one, for `aria-current`.
    pub fn is(self, other: &Self) -> bool {
        self == *other
    }

    /// The console's list.
    pub fn is_organizations(self) -> bool {
        self == Self::Organizations
    }

    /// The console's audit log.
    pub fn is_staff_audit_log(self) -> bool {
        self == Self::StaffAuditLog
    }

    /// The reader's own account.
    pub fn is_account(self) -> bool {
        self == Self::Account
    }

    /// As people read it.
    pub fn label(self) -> &'static str {
        match self {
            Self::Api => "API",
            Self::Members => "Members",
            Self::AuditLog | Self::StaffAuditLog => "Audit log",
            Self::Account => "Account",
            Self::Organizations => "Organizations",
        }
    }

    /// Its URL below an organization, where it has one.
    pub fn path(self) -> &'static str {
        match self {
            Self::Members => "members",
            Self::AuditLog => "audit-log",
            _ => "api-keys",
        }
    }
}

/// What a form that can't be undone asks of the reader.
#[derive(Debug, Clone, Default)]
pub struct Proof {
    /// The last proof of the password is over an hour ago: the form has a field for it.
    pub is_needed: bool,
    /// What was wrong with the password that was sent.
    pub problem: Option<String>,
}

/// The visit of somebody of the staff, for the ribbon.
#[derive(Debug, Clone)]
pub struct VisitView {
    /// Why.
    pub reason: String,
    /// Whole minutes until it is over, rounded up.
    pub minutes: i64,
    /// How large the organization is.
    pub facts: support::Facts,
}

/// The signed-in person as the account menu shows it.
#[derive(Debug, Clone)]
pub struct PersonView {
    /// Empty when none was given.
    pub name: String,
    /// What it signs in with.
    pub email: String,
    /// Two letters for the button.
    pub initials: String,
    /// Whether it is staff, who have a console of their own.
    pub is_staff: bool,
}

impl PersonView {
    /// The name, or the address for want of one.
    pub fn label(&self) -> &str {
        if self.name.is_empty() { &self.email } else { &self.name }
    }
}

/// One line of the organization switcher.
#[derive(Debug, Clone)]
pub struct OrganizationView {
    /// Its name in URLs.
    pub slug: String,
    /// Its name.
    pub name: String,
    /// First letter of the name.
    pub initial: String,
    /// Whether the person manages it.
    pub is_admin: bool,
    /// Whether its keys are refused.
    pub is_suspended: bool,
}

impl OrganizationView {
    fn new(organization: &Organization, is_admin: bool) -> Self {
        Self {
            slug: organization.slug.clone(),
            name: organization.name.clone(),
            initial: first_letter(&organization.name),
            is_admin,
            is_suspended: organization.suspended_at.is_some(),
        }
    }
}

/// What is around every screen. Screens embed it as `frame`; their templates extend a layout that reads it.
#[derive(Debug, Clone)]
pub struct Frame {
    /// The moment of the request; filters of times count from it.
    pub now: OffsetDateTime,
    /// Who is signed in.
    pub person: Option<PersonView>,
    /// The organization that is open.
    pub organization: Option<OrganizationView>,
    /// All of the person's.
    pub organizations: Vec<OrganizationView>,
    /// The profile's place, but for its last word: breadcrumbs.
    pub breadcrumbs: Vec<String>,
    /// The last word of the profile's place: the page's h1.
    pub heading: String,
    /// Where partners call, without a slash at the end.
    pub base_url: String,
    /// Host of the public URL.
    pub host: String,
    /// Whether the API reference is what is shown.
    pub is_reference: bool,
    /// What just happened.
    pub flash: Option<Flash>,
    /// Since when Latchkey itself has the webhook off, for those who can change that.
    pub webhook_stopped: Option<OffsetDateTime>,
    /// That the open organization's credits run low.
    pub low: Option<Low>,
    /// Keys of the open organization that were found in public, and that its people are told of.
    pub leaks: Vec<LeakedKey>,
    /// Whether a key gets a new text in place.
    pub rotates: bool,
    /// What of the header is open.
    pub section: Section,
    /// Staff look at an organization that is not theirs.
    pub visit: Option<VisitView>,
    /// Whether what can't be undone asks for the password.
    pub proof: Proof,
    /// Whether a link can be sent to who lost the password.
    pub has_mail: bool,
}

impl Frame {
    /// The frame of a page that nobody is signed in to, or of an error before that is known.
    pub fn of_site(site: &Site) -> Self {
        let place = &site.profile.place;
        let host = site.public_url.split_once("://").map_or(site.public_url.as_str(), |(_, host)| host);
        Self {
            now: clock::now(),
            person: None,
            organization: None,
            organizations: Vec::new(),
            breadcrumbs: place.iter().take(place.len().saturating_sub(1)).cloned().collect(),
            heading: site.profile.title().to_owned(),
            base_url: format!("{}{}", site.public_url, site.profile.api.base_path.trim_end_matches('/')),
            host: host.to_owned(),
            is_reference: false,
            flash: None,
            webhook_stopped: None,
            low: None,
            leaks: Vec::new(),
            rotates: site.profile.keys.rotation,
            section: Section::Api,
            visit: None,
            proof: Proof::default(),
            has_mail: site.mail.is_some(),
        }
    }

    /// The same for a person who has opened `slug`.
    pub fn of_visit(site: &Site, visit: &Visit, slug: Option<&str>) -> Self {
        let organizations: Vec<OrganizationView> =
            visit.organizations.iter().map(|(organization, role)| OrganizationView::new(organization, *role == Role::Admin)).collect();
        let organization = organizations.iter().find(|organization| Some(organization.slug.as_str()) == slug).cloned();
        let user = &visit.user;
        let (initials, is_staff) = (initials(user.label()), user.staff().is_some());
        let person = PersonView { name: user.name.clone(), email: user.email.clone(), initials, is_staff };
        Self { person: Some(person), organization, organizations, ..Self::of_site(site) }
    }

    /// The same for staff who look at an organization that is not theirs.
    pub fn visiting(self, organization: &Organization, visit: &support::Visit, facts: support::Facts) -> Self {
        let minutes = ((visit.ends_at - self.now).whole_seconds() + 59) / 60;
        let visit = VisitView { reason: visit.reason.clone(), minutes, facts };
        Self { organization: Some(OrganizationView::new(organization, false)), visit: Some(visit), ..self }
    }

    /// The same with another part of the header open.
    pub fn in_section(self, section: Section) -> Self {
        Self { section, ..self }
    }

    /// What the header leads to in the open organization: members have no audit log.
    pub fn nav(&self) -> &'static [Section] {
        if self.is_admin() { &[Section::Api, Section::Members, Section::AuditLog] } else { &[Section::Api, Section::Members] }
    }

    /// Whether the reader is in the console of the staff.
    pub fn is_console(&self) -> bool {
        self.visit.is_some() || matches!(self.section, Section::Organizations | Section::StaffAuditLog)
    }

    /// The tabs, for the layout.
    pub fn tabs(&self) -> [Tab; 4] {
        Tab::ALL
    }

    /// Path below the open organization: `frame.path("usage")`.
    pub fn path(&self, rest: &str) -> String {
        match &self.organization {
            Some(organization) => format!("/orgs/{}/{rest}", organization.slug),
            None => "/".into(),
        }
    }

    /// Whether the flash says that something was not done.
    pub fn failed(&self) -> bool {
        self.flash.as_ref().is_some_and(|flash| flash.tone == Tone::Fail)
    }

    /// Whether the person manages the open organization: what members may not do is left out of the page.
    pub fn is_admin(&self) -> bool {
        self.organization.as_ref().is_some_and(|organization| organization.is_admin)
    }
}

fn first_letter(text: &str) -> String {
    text.chars().find(|c| c.is_alphanumeric()).map_or_else(String::new, |c| c.to_uppercase().collect())
}

fn initials(label: &str) -> String {
    let name = label.split('@').next().unwrap_or_default();
    name.split(|c: char| !c.is_alphanumeric()).map(first_letter).filter(|letter| !letter.is_empty()).take(2).collect()
}

#[cfg(test)]
mod tests {
    use super::initials;

    #[test]
    fn two_letters_of_a_name_or_an_address() {
        assert_eq!(initials("Dana Okafor"), "DO");
        assert_eq!(initials("tomás.rey@acme.example"), "TR");
        assert_eq!(initials("株式 会社"), "株会");
    }
}
