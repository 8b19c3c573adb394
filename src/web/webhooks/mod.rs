//! The tab Webhooks: where events go, whether they arrive, and every delivery.

mod deliveries;
mod guide;
mod laps;
mod opened;
mod secret;
mod settings;
mod test;
mod views;
mod words;

use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use actix_web::web::Query;
use askama::Template;

pub use deliveries::{ask_replays, replay, replay_failed};
pub use secret::{confirm_rotation, rotate};
pub use settings::{activate, confirm_removal, deactivate, edit, remove, save};
pub use test::send_test;

use super::{Answer, Flash, Frame, Member, Tab, WebError, filters, fragment, fragments, page, page_with_status, wants_fragment};
use crate::error::{ClientError, Error, Result};
use crate::ids::EventId;
use crate::profile::Profile;
use crate::secret::SigningSecret;
use crate::webhooks::list::{self, Cursor};
use guide::Guide;
pub(super) use guide::SNIPPETS;
use test::Tested;
use views::{Endpoint, Item, Shown};
pub(super) use words::{listed, span};

/// Deliveries on a page.
const PAGE: usize = 25;
/// Rows that are open at once; each of them brings its attempts along, every few seconds.
const MOST_OPEN: usize = 8;

/// The query of the page, and of what it asks by itself.
#[derive(Clone, Default)]
struct Asked {
    state: String,
    event: String,
    before: Option<String>,
    after: Option<String>,
    /// The rows that are open.
    open: Vec<String>,
    /// The row that htmx wants closed again.
    row: Option<String>,
    /// The first row of a page that is open somewhere: as long as it is, nothing is put above it.
    top: Option<String>,
}

/// A query as it is sent: names may repeat.
pub type Pairs = Query<Vec<(String, String)>>;

impl Asked {
    fn read(pairs: Vec<(String, String)>) -> Self {
        let mut asked = Self::default();
        for (name, value) in pairs {
            match name.as_str() {
                "state" => asked.state = value,
                "event" => asked.event = value,
                "before" => asked.before = Some(value),
                "after" => asked.after = Some(value),
                "open" if asked.open.len() < MOST_OPEN && !asked.open.contains(&value) => asked.open.push(value),
                "row" => asked.row = Some(value),
                "top" => asked.top = Some(value),
                _ => {}
            }
        }
        asked
    }

    fn cursor(&self) -> Result<Option<Cursor>> {
        let place = |text: &String| EventId::parse(text).ok_or(Error::NotFound);
        Ok(match (&self.before, &self.after, &self.top) {
            (Some(id), ..) => Some(Cursor::Before(place(id)?)),
            (None, Some(id), _) => Some(Cursor::After(place(id)?)),
            (None, None, Some(id)) if !self.open.is_empty() => Some(Cursor::From(place(id)?)),
            _ => None,
        })
    }

    /// Itself where it leads to a page; else the query of the plain one.
    fn or_plain(self, types: &[String]) -> Self {
        let leads = views::filter(&self.state, &self.event, types).is_ok() && self.cursor().is_ok();
        if leads { self } else { Self::default() }
    }

    fn is_first_page(&self) -> bool {
        self.before.is_none() && self.after.is_none()
    }

    /// Address of the page with these filters, and more to come.
    fn link(&self, frame: &Frame) -> String {
        format!("{}?state={}&event={}", frame.path("webhooks"), self.state, self.event)
    }

    /// Address of this very page.
    fn here(&self, frame: &Frame) -> String {
        let place = match (&self.before, &self.after) {
            (Some(id), _) => format!("&before={id}"),
            (None, Some(id)) => format!("&after={id}"),
            (None, None) => String::new(),
        };
        self.link(frame) + &place
    }

    /// Address of this very page with what is open on it, and that one too.
    fn with_open(&self, frame: &Frame, event: EventId) -> String {
        let others = self.open.iter().filter_map(|id| EventId::parse(id)).filter(|other| *other != event);
        // Last of those that are opened, it would be the first to be left out.
        let open = std::iter::once(event).chain(others).map(|id| format!("&open={id}")).collect::<String>();
        self.here(frame) + &open
    }
}

/// The page.
#[derive(Template)]
#[template(path = "webhooks/index.html", blocks = ["endpoint", "test", "deliveries"])]
struct Index {
    frame: Frame,
    asked: Asked,
    endpoint: Option<Endpoint>,
    /// In the answer to the POST that made the secret, and nowhere else.
    secret: Option<SigningSecret>,
    /// What came of the test event that was just sent.
    tested: Option<Tested>,
    /// What was typed as the URL, and what is wrong with it.
    refused_url: Option<(String, String)>,
    /// The field of the URL takes the URL's place; after what was refused, with what was typed.
    is_edited: bool,
    rows: Vec<Item>,
    newer: Option<EventId>,
    older: Option<EventId>,
    /// The page ended before it was full, with older ones that nobody looked at.
    is_cut: bool,
    types: Vec<String>,
    guide: Guide,
    /// An answer to the page's own asking: its parts say what they replace.
    live: bool,
}

/// Names of the events.
fn types(profile: &Profile) -> Vec<String> {
    crate::webhooks::event_types(profile).into_iter().map(|event| event.name).collect()
}

/// The field of the URL.
struct UrlField<'a> {
    /// What was typed, or what is saved.
    text: Option<&'a str>,
    error: Option<&'a str>,
}

/// One row, for htmx.
#[derive(Template)]
#[template(path = "webhooks/_row.html")]
struct Row {
    frame: Frame,
    asked: Asked,
    row: Item,
}

impl Row {
    fn here(&self) -> String {
        self.asked.here(&self.frame)
    }
}

impl Index {
    async fn read(member: &Member, asked: Asked) -> Result<Self> {
        let (profile, types) = (member.site.profile.clone(), types(&member.site.profile));
        let (filter, cursor) = (views::filter(&asked.state, &asked.event, &types)?, asked.cursor()?);
        let (organization, now, keyring) = (member.organization.id, member.frame.now, member.site.keyring.clone());
        let open: Vec<EventId> = asked.open.iter().filter_map(|id| EventId::parse(id)).collect();
        let read = move |conn: &mut _| {
            let standing = crate::webhooks::standing(conn, organization, now, &keyring)?;
            let mut page = list::page(conn, organization, &filter, cursor, PAGE)?;
            let histories = list::open(conn, organization, &mut page, &open)?;
            Ok((standing, page, histories))
        };
        let (standing, page, mut histories) = member.site.db.run(read).await?;
        let endpoint = standing.map(Endpoint::from);
        let shown = Shown { profile: &profile, rules: &member.site.webhooks, endpoint: endpoint.as_ref(), now };
        let rows = page.deliveries.into_iter().map(|delivery| {
            let at = histories.iter().position(|(event, _)| *event == delivery.event);
            let history = at.map(|at| histories.swap_remove(at).1);
            shown.item(delivery, history)
        });
        Ok(Self {
            rows: rows.collect(),
            newer: page.newer,
            older: page.older,
            is_cut: page.is_cut,
            guide: Guide::of(&profile, &member.site.webhooks, now),
            frame: member.frame.clone(),
            secret: None,
            tested: None,
            refused_url: None,
            is_edited: false,
            live: false,
            asked,
            endpoint,
            types,
        })
    }

    fn tab(&self) -> Tab {
        Tab::Webhooks
    }

    fn is_filtered(&self) -> bool {
        !self.asked.state.is_empty() || !self.asked.event.is_empty()
    }

    fn link(&self) -> String {
        self.asked.link(&self.frame)
    }

    fn here(&self) -> String {
        self.asked.here(&self.frame)
    }

    /// Whether nothing has arrived yet: what there is to be set up is open then.
    fn is_fresh(&self) -> bool {
        self.endpoint.as_ref().is_none_or(|endpoint| endpoint.facts.last_at.is_none())
    }

    /// Whether there are newer ones that wait for the open rows to be closed.
    fn is_pinned(&self) -> bool {
        self.newer.is_some() && self.asked.is_first_page()
    }

    /// What is in the field of the URL.
    fn url_field(&self) -> UrlField<'_> {
        let refused = self.refused_url.as_ref().map(|(typed, message)| (typed.as_str(), message.as_str()));
        let saved = self.endpoint.as_ref().map(|endpoint| endpoint.webhook.url.as_str());
        UrlField { text: refused.map(|(typed, _)| typed).or(saved), error: refused.map(|(_, message)| message) }
    }
}

/// A new secret, when the page below it could not be read.
#[derive(Template)]
#[template(path = "webhooks/made.html")]
struct Made {
    frame: Frame,
    secret: Option<SigningSecret>,
}

impl Made {
    fn tab(&self) -> Tab {
        Tab::Webhooks
    }
}

/// `GET …/webhooks`.
pub async fn index(member: Member, request: HttpRequest, pairs: Pairs) -> Answer {
    let asked = Asked::read(pairs.into_inner());
    if let Some(id) = asked.open.first().or(asked.row.as_ref()).filter(|_| wants_fragment(&request)) {
        let event = EventId::parse(id).ok_or(Error::NotFound)?;
        let row = deliveries::one(&member, event, !asked.open.is_empty()).await?;
        return fragment(&Row { frame: member.frame, asked, row });
    }
    let screen = Index::read(&member, asked).await?;
    if wants_fragment(&request) { fragment(&screen.as_deliveries()) } else { page(&screen) }
}

/// `GET …/webhooks/live`: what the page asks for by itself, every few seconds.
pub async fn live(member: Member, pairs: Pairs) -> Answer {
    let screen = Index { live: true, ..Index::read(&member, Asked::read(pairs.into_inner())).await? };
    fragments(&[&screen.as_endpoint(), &screen.as_deliveries()])
}

/// The page as it is now, with what was not done and why on top: 409 for a conflict, 422 for input that no form of ours sends.
async fn refused(mut member: Member, result: &'static str, error: Error) -> Answer {
    let why = match &error {
        Error::Conflict(sentence) => sentence.clone(),
        Error::Invalid(fields) => fields.iter().map(|field| field.message.as_str()).collect::<Vec<_>>().join(" "),
        _ => return Err(WebError(error)),
    };
    member.frame.flash = Some(Flash::fail(result, why));
    let status = StatusCode::from_u16(ClientError::from(&error).status).unwrap_or(StatusCode::CONFLICT);
    page_with_status(status, &Index::read(&member, Asked::default()).await?)
}

/// The page with a new secret on top. It is made by now and shown nowhere else: what breaks from here on must not lose it.
async fn with_secret(mut member: Member, flash: Flash, secret: SigningSecret) -> Answer {
    member.frame.flash = Some(flash);
    let secret = Some(secret);
    match Index::read(&member, Asked::default()).await {
        Ok(screen) => page(&Index { secret, ..screen }),
        Err(error) => {
            tracing::error!(error = %error, "showing a new signing secret without the rest of its page");
            page(&Made { frame: member.frame, secret })
        }
    }
}

/// What is done about a webhook needs one.
fn no_webhook() -> Error {
    Error::Conflict("There is no webhook. Save one first.".into())
}
