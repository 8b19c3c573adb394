//! Keys that were found in public: reports of them, and what admins are told.

use std::collections::{HashMap, HashSet};

use diesel::pg::PgConnection;
use diesel::prelude::*;
use serde_json::json;
use time::{Duration, OffsetDateTime};
use url::Url;

use super::pattern::without_keys;
use super::rotation::end_secret;
use super::{Key, end, end_rows, lock, parse, record};
use crate::actor::{Actor, LEAK_REPORT};
use crate::audit;
use crate::error::Result;
use crate::ids::{KeyId, OrgId};
use crate::profile::Profile;
use crate::schema::{api_key_secrets, api_keys};
use crate::secret::SecretDigest;
use crate::site::LeakedKeys;

/// Longest text of where a key was found, in characters.
const PLACE_MOST: usize = 500;
/// How long admins are told of a key that a report has ended.
const TOLD: Duration = Duration::days(7);
/// Most keys that they are told of at once.
const MOST: i64 = 5;

/// That a text of a key was found in public.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leak {
    /// When it was first reported.
    pub at: OffsetDateTime,
    /// Where it was found, in the finder's words; empty when nobody said.
    pub place: String,
}

impl Leak {
    pub(super) fn of(at: Option<OffsetDateTime>, place: Option<String>) -> Option<Self> {
        at.zip(place).map(|(at, place)| Self { at, place })
    }

    /// The place, where it is an address on the web that a reader may follow. One with user info is none: what stands before the `@` can
    /// look like the host.
    pub fn link(&self) -> Option<&str> {
        let plain = self.place.starts_with("https://") && self.place.bytes().all(|byte| byte.is_ascii_graphic());
        let is_bare = |url: Url| url.username().is_empty() && url.password().is_none();
        (plain && Url::parse(&self.place).is_ok_and(is_bare)).then_some(self.place.as_str())
    }
}

/// What became of a reported key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Became {
    /// It is revoked by this report.
    Revoked,
    /// It was on its way out after a rotation, and was ended by this report. The key works on with its new text.
    GraceEnded,
    /// It works; its organization's admins are told.
    Flagged,
    /// It was over before.
    Over,
}

/// A reported key.
#[derive(Debug, Clone)]
pub struct Reported {
    /// Whose it is.
    pub organization: OrgId,
    /// The key.
    pub key: KeyId,
    /// What people call it.
    pub name: String,
    /// Of the reported text, without `…`.
    pub prefix: String,
    /// When, and where it was found.
    pub leak: Leak,
    /// What became of it.
    pub became: Became,
    /// Whether nobody had reported it before.
    pub is_news: bool,
}

/// Those of the texts that are keys of this deployment, or were: one question to the database, however many they are, and none where all
/// are no keys by form or checksum.
///
/// # Errors
/// Those of the database.
pub fn known<'a>(conn: &mut PgConnection, profile: &Profile, texts: impl IntoIterator<Item = &'a str>) -> Result<HashSet<&'a str>> {
    let by_digest: HashMap<SecretDigest, &'a str> =
        texts.into_iter().filter_map(|text| parse(profile, text).map(|parsed| (parsed.digest, text))).collect();
    let digests: Vec<SecretDigest> = by_digest.keys().copied().collect();
    if digests.is_empty() {
        return Ok(HashSet::new());
    }
    let found: Vec<SecretDigest> =
        api_key_secrets::table.filter(api_key_secrets::digest.eq_any(digests.as_slice())).select(api_key_secrets::digest).load(conn)?;
    Ok(found.into_iter().filter_map(|digest| by_digest.get(&digest).copied()).collect())
}

/// Takes the report that `text` was found in public, `place` says where. None: it is no key of this deployment, which its form and
/// checksum mostly tell without the database.
///
/// What works is ended in the same transaction, unless `then` says otherwise. An older text of a key ends alone. The first report of
/// a text is noted and audited, a further one does nothing more, however many come at once. Neither a place nor anything else that is
/// kept has the text in it.
///
/// # Errors
/// Those of the database.
pub fn report(
    conn: &mut PgConnection, actor: &Actor, now: OffsetDateTime, profile: &Profile, then: LeakedKeys, text: &str, place: &str,
) -> Result<Option<Reported>> {
    let Some(parsed) = parse(profile, text) else { return Ok(None) };
    let found: Option<(OrgId, KeyId, i32)> = api_key_secrets::table
        .filter(api_key_secrets::digest.eq(parsed.digest))
        .select((api_key_secrets::organization_id, api_key_secrets::key_id, api_key_secrets::generation))
        .first(conn)
        .optional()?;
    let Some((organization, id, generation)) = found else { return Ok(None) };
    conn.transaction(|conn| {
        let key = lock(conn, organization, id)?;
        let (ends_at, leaked_at, leaked_where): (Option<OffsetDateTime>, Option<OffsetDateTime>, Option<String>) = api_key_secrets::table
            .find((id, generation))
            .select((api_key_secrets::ends_at, api_key_secrets::leaked_at, api_key_secrets::leaked_where))
            .first(conn)?;
        let works = !key.status(now).is_ended() && ends_at.is_none_or(|at| at > now);
        let became = match (works, then) {
            (false, _) => Became::Over,
            (true, LeakedKeys::Flag) => Became::Flagged,
            (true, LeakedKeys::Revoke) if generation < key.generation => Became::GraceEnded,
            (true, LeakedKeys::Revoke) => Became::Revoked,
        };
        let known = Leak::of(leaked_at, leaked_where);
        let is_news = known.is_none();
        let leak = known.unwrap_or_else(|| Leak { at: now, place: told(profile, text, place) });
        let reported = Reported { organization, key: id, name: key.name.clone(), prefix: parsed.prefix, leak, became, is_news };
        let key = Key { prefix: reported.prefix.clone(), ..key };
        if is_news {
            note(conn, actor, now, key, generation, ends_at, &reported)?
        } else {
            end_late(conn, actor, now, key, generation, became)?
        }
        Ok(Some(reported))
    })
}

/// Notes the first report of a text, with what it does: one entry for both.
fn note(
    conn: &mut PgConnection, actor: &Actor, now: OffsetDateTime, key: Key, generation: i32, ends_at: Option<OffsetDateTime>,
    reported: &Reported,
) -> Result<()> {
    diesel::update(api_key_secrets::table.find((key.id, generation)))
        .set((api_key_secrets::leaked_at.eq(now), api_key_secrets::leaked_where.eq(&reported.leak.place)))
        .execute(conn)?;
    let mut before = json!({"leaked_at": null});
    let mut after = json!({"leaked_at": audit::moment(Some(now)), "leaked_where": reported.leak.place, "prefix": reported.prefix});
    let key = match reported.became {
        Became::Revoked => {
            before["revoked_at"] = json!(null);
            after["revoked_at"] = audit::moment(Some(now));
            end_rows(conn, actor, now, key)?
        }
        Became::GraceEnded => {
            before["ends_at"] = audit::moment(ends_at);
            after["ends_at"] = audit::moment(Some(now));
            end_secret(conn, actor, now, &key, generation, now)?;
            key
        }
        Became::Flagged | Became::Over => key,
    };
    record(conn, actor, now, "key.leaked", &key, before, after)
}

/// Ends what was flagged before and is to be ended now.
fn end_late(conn: &mut PgConnection, actor: &Actor, now: OffsetDateTime, key: Key, generation: i32, became: Became) -> Result<()> {
    match became {
        Became::Revoked => end(conn, actor, now, key).map(drop),
        Became::GraceEnded => {
            end_secret(conn, actor, now, &key, generation, now)?;
            let after = json!({"generation": generation, "ends_at": audit::moment(Some(now))});
            record(conn, actor, now, "key.grace_ended", &key, json!({"generation": generation}), after)
        }
        Became::Flagged | Became::Over => Ok(()),
    }
}

/// Where it was found, fit to be kept and shown: one line, and no key in it.
fn told(profile: &Profile, text: &str, place: &str) -> String {
    // Before keys are looked for: a character that is left out must not have parted one.
    let is_odd =
        |c: &char| c.is_control() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    let line: String = place.chars().filter(|c| !is_odd(c)).collect();
    let line = without_keys(profile, &line).replace(random_part(text), "…");
    line.trim().chars().take(PLACE_MOST).collect()
}

/// What of a key's text nobody may see.
fn random_part(text: &str) -> &str {
    text.rsplit('_').next().unwrap_or(text)
}

/// How a leaked key stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It works. Somebody has to act.
    Works,
    /// The report has ended it.
    Ended,
}

/// A leaked key that admins are told of.
#[derive(Debug, Clone)]
pub struct LeakedKey {
    /// The key.
    pub key: KeyId,
    /// What people call it.
    pub name: String,
    /// Of the text that leaked, without `…`.
    pub prefix: String,
    /// When, and where.
    pub leak: Leak,
    /// How it stands.
    pub standing: Standing,
    /// Whether the key has a newer text: this one is, or was, in grace.
    pub is_old: bool,
    /// Whether the key is paused: its requests are refused until somebody activates it.
    pub is_paused: bool,
}

impl LeakedKey {
    /// Whether somebody has to act: it works, or would when it is activated.
    pub fn works(&self) -> bool {
        self.standing == Standing::Works
    }
}

/// The leaked keys that admins are told of: those that work, then those that a report ended within a week, newest report first. At most
/// five. What somebody has dealt with, and what was over before it was found, needs nobody.
///
/// # Errors
/// Those of the database.
pub fn leaked(conn: &mut PgConnection, organization: OrgId, now: OffsetDateTime) -> Result<Vec<LeakedKey>> {
    let lives = || api_keys::revoked_at.is_null().and(api_keys::expires_at.is_null().or(api_keys::expires_at.gt(now)));
    let works = || api_key_secrets::ends_at.is_null().or(api_key_secrets::ends_at.gt(now)).and(lives());
    let ended = api_key_secrets::ended_by.eq(LEAK_REPORT).and(api_key_secrets::ends_at.gt(now - TOLD));
    let rows: Vec<Row> = api_key_secrets::table
        .inner_join(api_keys::table)
        .filter(api_key_secrets::organization_id.eq(organization).and(api_key_secrets::leaked_at.is_not_null()))
        .filter(works().or(ended))
        .order((works().desc(), api_key_secrets::leaked_at.desc()))
        .limit(MOST)
        .select(Row::as_select())
        .load(conn)?;
    Ok(rows.into_iter().filter_map(|row| row.into_leaked(now)).collect())
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = api_key_secrets, check_for_backend(diesel::pg::Pg))]
struct Row {
    key_id: KeyId,
    #[diesel(select_expression = api_keys::name)]
    name: String,
    #[diesel(select_expression = api_keys::revoked_at)]
    revoked_at: Option<OffsetDateTime>,
    #[diesel(select_expression = api_keys::deactivated_at)]
    deactivated_at: Option<OffsetDateTime>,
    prefix: String,
    ends_at: Option<OffsetDateTime>,
    ended_by: Option<String>,
    leaked_at: Option<OffsetDateTime>,
    leaked_where: Option<String>,
}

impl Row {
    fn into_leaked(self, now: OffsetDateTime) -> Option<LeakedKey> {
        let is_ended = self.ended_by.as_deref() == Some(LEAK_REPORT) && self.ends_at.is_some_and(|at| at <= now);
        Some(LeakedKey {
            key: self.key_id,
            name: self.name,
            prefix: self.prefix,
            leak: Leak::of(self.leaked_at, self.leaked_where)?,
            standing: if is_ended { Standing::Ended } else { Standing::Works },
            // Of a key that lives, only the newest text has no end of its own.
            is_old: self.ends_at.is_some() && self.revoked_at.is_none(),
            is_paused: self.deactivated_at.is_some(),
        })
    }
}
