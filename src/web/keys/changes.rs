//! What is done to a key without asking twice: pause, bring back, end a grace period, edit.

use actix_web::web::Path;

use super::form::{Editing, Entered, Fields, KeyForm, date_text};
use super::views::former_id;
use super::{broken, key_of, refused};
use crate::error::{Error, Result};
use crate::ids::KeyId;
use crate::keys::{self, Edit, Key};
use crate::web::{Answer, Flash, Member, page, see_other_with};

/// `POST …/api-keys/{key}/deactivation`.
pub async fn deactivate(member: Member, path: Path<(String, String)>) -> Answer {
    let key = key_of(&path)?;
    let (actor, organization, now) = (member.actor.clone(), member.organization.id, member.frame.now);
    match member.site.db.run(move |conn| keys::deactivate(conn, &actor, now, organization, key)).await {
        Ok(key) => {
            let result = format!("{} is deactivated.", key.name);
            Ok(see_other_with(
                &member.frame.path("api-keys"),
                Flash::ok(result, "Its next request is refused. Activate it again whenever you like."),
            ))
        }
        Err(error) => refused(member, "Nothing was changed.", error).await,
    }
}

/// `POST …/api-keys/{key}/activation`.
pub async fn activate(member: Member, path: Path<(String, String)>) -> Answer {
    let key = key_of(&path)?;
    let (actor, organization, now) = (member.actor.clone(), member.organization.id, member.frame.now);
    match member.site.db.run(move |conn| keys::activate(conn, &actor, now, organization, key)).await {
        Ok(key) => {
            let result = format!("{} is active again.", key.name);
            Ok(see_other_with(&member.frame.path("api-keys"), Flash::ok(result, "Its requests pass from now on.")))
        }
        Err(error) => refused(member, "Nothing was changed.", error).await,
    }
}

/// `POST …/api-keys/{key}/grace-end`.
pub async fn end_grace(member: Member, path: Path<(String, String)>) -> Answer {
    let key = key_of(&path)?;
    let (actor, organization, now) = (member.actor.clone(), member.organization.id, member.frame.now);
    match member.site.db.run(move |conn| keys::end_grace(conn, &actor, now, organization, key)).await {
        Ok(key) => {
            let receipt = former_id(key.id, key.generation - 1);
            let flash = Flash::ok("Grace ended.", "The old key is refused from now on; its receipt is below.");
            Ok(see_other_with(&member.frame.path(&format!("api-keys?open={receipt}")), flash))
        }
        Err(error) => refused(member, "Nothing was changed.", error).await,
    }
}

/// `GET …/api-keys/{key}/edit`.
pub async fn edit(member: Member, path: Path<(String, String)>) -> Answer {
    let key = find(&member, key_of(&path)?).await?;
    member.require_admin()?;
    if key.status(member.frame.now).is_ended() {
        return refused(member, "This key can't be edited.", Error::Conflict("It has ended, for ever.".into())).await;
    }
    page(&KeyForm::new(&member, Some(editing(&key)), Entered::of(&key)))
}

/// `POST …/api-keys/{key}`.
pub async fn update(member: Member, path: Path<(String, String)>, fields: Fields) -> Answer {
    let key = find(&member, key_of(&path)?).await?;
    member.require_admin()?;
    let Some(mut entered) = Entered::read(fields) else { return refused(member, "Changes not saved.", broken()).await };
    entered.environment = key.environment.clone();
    match try_update(&member, &key, &entered).await {
        Ok(key) => {
            let flash = Flash::ok(format!("{} is saved.", key.name), "The changes hold from its next request on.");
            Ok(see_other_with(&member.frame.path("api-keys"), flash))
        }
        Err(Error::Invalid(errors)) => KeyForm::new(&member, Some(editing(&key)), entered).refuse("Changes not saved.", errors),
        Err(error) => refused(member, "Changes not saved.", error).await,
    }
}

async fn try_update(member: &Member, key: &Key, entered: &Entered) -> Result<Key> {
    // The field knows days. A key that stops at another time of the same day keeps it.
    let unchanged = key.expires_at.is_some_and(|at| date_text(at) == entered.expires.trim());
    let expires_at = if unchanged { key.expires_at } else { entered.expires_at()? };
    let edit = Edit { name: entered.name.clone(), permissions: entered.permissions.clone(), expires_at };
    let (actor, profile, now) = (member.actor.clone(), member.site.profile.clone(), member.frame.now);
    let (organization, id) = (key.organization, key.id);
    member.site.db.run(move |conn| keys::edit(conn, &actor, now, &profile, organization, id, edit)).await
}

async fn find(member: &Member, key: KeyId) -> Result<Key> {
    let (organization, now) = (member.organization.id, member.frame.now);
    Ok(member.site.db.run(move |conn| keys::find(conn, organization, key, now)).await?.key)
}

fn editing(key: &Key) -> Editing {
    Editing { id: key.id.to_string(), name: key.name.clone() }
}
