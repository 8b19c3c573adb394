//! A new password, for who knows the old one.

use actix_web::web::Form;
use serde::Deserialize;

use super::{HERE, Index};
use crate::accounts::{self, Password};
use crate::error::{Error, FieldError, Result};
use crate::web::{Answer, Flash, Person, prove, see_other_with, sign_in};

/// The form.
#[derive(Deserialize)]
pub struct Fields {
    #[serde(default)]
    current: String,
    #[serde(default)]
    new: String,
}

/// `POST /account/password`.
pub async fn change(mut person: Person, fields: Form<Fields>) -> Answer {
    let Fields { current, new } = fields.into_inner();
    match try_change(&mut person, &current, new).await {
        Ok(ended) => {
            let next = match ended {
                0 => "Sign in with it from now on.".into(),
                1 => "Another browser was signed out.".into(),
                _ => format!("{ended} other browsers were signed out."),
            };
            Ok(see_other_with(HERE, Flash::ok("Password changed.", next)))
        }
        Err(Error::Invalid(errors)) => Index::read(&person).await?.refuse("Password not changed.", errors),
        Err(error) => Err(error.into()),
    }
}

async fn try_change(person: &mut Person, current: &str, new: String) -> Result<usize> {
    let password = Password::new(new).map_err(|e| e.on_field("password", "new"))?;
    // Asked for in any case: this is what somebody at an open browser would do.
    person.frame.proof.is_needed = true;
    match prove(person, Some(current)).await {
        Err(Error::ProofNeeded) => {
            let message = person.frame.proof.problem.take().unwrap_or_default();
            return Err(Error::Invalid(vec![FieldError { field: "current".into(), message }]));
        }
        proved => proved?,
    }
    let hashed = sign_in::hashing(move || password.hash()).await??;
    let (actor, now, session) = (person.actor.clone(), person.frame.now, person.current.id);
    person.site.db.run(move |conn| accounts::change_password(conn, &actor, now, session, &hashed)).await
}
