//! The tab Webhooks: where events go, whether they arrive, and every delivery.

mod deliveries;
mod guide;
mod laps;
mod secret;
mod settings;
mod test;
mod views;

use std::sync::Arc;

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
use test::Tested;
use views::{Endpoint, Item, Shown};

/// Deliveries on a page.
const PAGE: usize = 25;

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
    /// The page is not the newest one: it stays as it is.
    held: bool,
}

/// A query as it is sent: names may repeat.
pub type Pairs = Query<Vec<(String, String)>>;

impl Asked {
    fn read(pairs: Pairs) -> Self {
        let mut asked = Self::default();
        for (name, value) in pairs.into_inner() {
            match name.as_str() {
                "state" => asked.state = value,
                "event" => asked.event = value,
                "before" => asked.before = Some(value),
                "after" => asked.after = Some(value),
                "open" if asked.open.len() < PAGE => asked.open.push(value),
                "row" => asked.row = Some(value),
                "top" => asked.top = Some(value),
                "held" => asked.held = true,
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
    /// What was typed as the URL of a first webhook, and what is wrong with it.
    refused_url: Option<(String, String)>,
    rows: Vec<Item>,
    newer: bool,
    older: bool,
    types: Vec<String>,
    guide: Guide,
    /// An answer to the page's own asking: its parts say what they replace.
    live: bool,
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
        let profile: Arc<Profile> = member.site.profile.clone();
        let types: Vec<String> = crate::webhooks::event_types(&profile).into_iter().map(|event| event.name).collect();
        let (filter, cursor) = (views::filter(&asked.state, &asked.event, &types)?, asked.cursor()?);
        let (organization, now) = (member.organization.id, member.frame.now);
        let open: Vec<EventId> = asked.open.iter().filter_map(|id| EventId::parse(id)).collect();
        let read = move |conn: &mut _| {
            let webhook = crate::webhooks::read(conn, organization, now)?;
            let facts = webhook.as_ref().map(|_| list::facts(conn, organization, now)).transpose()?;
            let page = list::page(conn, organization, &filter, cursor, PAGE)?;
            let mut histories = Vec::new();
            for delivery in page.deliveries.iter().filter(|delivery| open.contains(&delivery.event)) {
                histories.push((delivery.event, list::history(conn, organization, delivery.event)?));
            }
            Ok((webhook.zip(facts), page, histories))
        };
        let (endpoint, page, mut histories) = member.site.db.run(read).await?;
        let endpoint = endpoint.map(|(webhook, facts)| Endpoint { webhook, facts });
        let shown = Shown { profile: &profile, rules: &member.site.webhooks, endpoint: endpoint.as_ref(), now };
        let rows = page.deliveries.into_iter().map(|delivery| {
            let at = histories.iter().position(|(event, _)| *event == delivery.event);
            let history = at.map(|at| histories.swap_remove(at).1);
            shown.item(delivery, history)
        });
        let (rows, newer, older) = (rows.collect(), page.newer, page.older);
        let guide = Guide::of(&profile, now);
        let frame = member.frame.clone();
        Ok(Self { frame, asked, endpoint, secret: None, tested: None, refused_url: None, rows, newer, older, types, guide, live: false })
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
        self.newer && self.asked.is_first_page()
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
    let asked = Asked::read(pairs);
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
    let asked = Asked::read(pairs);
    let held = asked.held;
    let screen = Index { live: true, ..Index::read(&member, asked).await? };
    if held { fragment(&screen.as_endpoint()) } else { fragments(&[&screen.as_endpoint(), &screen.as_deliveries()]) }
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
