//! The password once more, before what can't be undone. A form of such a kind includes `components/proof.html`, which has a field
//! when the last proof is over an hour old; its handler calls [`prove`] first, and answers `ProofNeeded` with the same form.

use actix_web::web::Data;

use super::frame::Frame;
use super::guard::{Client, Member, Operator, Person};
use super::sign_in::hashing;
use crate::accounts::{self, sessions};
use crate::actor::Actor;
use crate::clock;
use crate::error::{ClientError, Error, Result};
use crate::site::Site;

/// What a proof needs of somebody who is signed in.
pub struct Parts<'a> {
    site: &'a Data<Site>,
    actor: &'a mut Actor,
    frame: &'a mut Frame,
    current: &'a mut sessions::Session,
    client: &'a Client,
}

/// Somebody who is signed in.
pub trait SignedIn {
    /// What a proof needs of it.
    fn parts(&mut self) -> Parts<'_>;
}

macro_rules! signed_in {
    ($($kind:ty: $self:ident => $place:expr;)*) => {
        $(impl SignedIn for $kind {
            fn parts(&mut self) -> Parts<'_> {
                let $self = self;
                let place = $place;
                Parts { site: &place.site, actor: &mut place.actor, frame: &mut place.frame, current: &mut place.current, client: &place.client }
            }
        })*
    };
}
signed_in! {
    Member: this => this;
    Person: this => this;
    Operator: this => &mut this.0;
}

/// Takes the password when the last proof is over an hour old; from then on the actor is one that proved it. What is wrong with it
/// stands in the frame, for the form.
///
/// # Errors
/// `ProofNeeded` when it is missing, wrong, or tried too often; those of the database.
pub async fn prove(who: &mut impl SignedIn, password: Option<&str>) -> Result<()> {
    let Parts { site, actor, frame, current, client } = who.parts();
    if !frame.proof.is_needed {
        return Ok(());
    }
    let mut refuse = |problem: String| {
        frame.proof.problem = Some(problem);
        Err(Error::ProofNeeded)
    };
    let Some(password) = password.filter(|password| !password.is_empty()).map(ToOwned::to_owned) else {
        return refuse("Enter your password: what follows can’t be undone.".into());
    };
    let (session, address) = (*current, client.address);
    let attempt = match site.db.run(move |conn| accounts::begin_proof(conn, clock::now(), &session, address)).await {
        Ok(attempt) => attempt,
        Err(error @ Error::Limited { .. }) => return refuse(ClientError::from(&error).message.into_owned()),
        Err(error) => return Err(error),
    };
    let verified = hashing(move || attempt.verify(&password)).await?;
    let (address, agent, now) = (client.address.to_string(), client.user_agent.clone(), clock::now());
    match site.db.run(move |conn| accounts::finish_proof(conn, now, verified, session.id, &address, &agent)).await {
        Ok(()) => {}
        Err(Error::Unauthenticated) => return refuse("This is not your password.".into()),
        Err(error) => return Err(error),
    }
    *actor = actor.clone().proved(now);
    frame.proof.is_needed = false;
    current.proved_at = now;
    Ok(())
}
