//! Operators' forms that must not do their work twice.

use diesel::pg::PgConnection;
use diesel::prelude::*;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::actor::{Actor, Permission};
use crate::credits::{self, Balance};
use crate::error::{Error, Result};
use crate::ids::OrgId;
use crate::schema::operator_forms;

/// Gives credits once for each form, with a note; see [`credits::grant`].
///
/// # Errors
/// `Conflict` for a form that was sent before; else those of [`credits::grant`], after which the form may be sent again.
pub fn grant(
    conn: &mut PgConnection, actor: &Actor, now: OffsetDateTime, organization: OrgId, form: Uuid, amount: i64, note: &str,
) -> Result<Balance> {
    once(conn, actor, now, organization, form, |conn| credits::grant(conn, actor, now, organization, amount, note))
}

/// Corrects what is available once for each form, with a note; see [`credits::adjust`].
///
/// # Errors
/// As [`grant`], with those of [`credits::adjust`].
pub fn adjust(
    conn: &mut PgConnection, actor: &Actor, now: OffsetDateTime, organization: OrgId, form: Uuid, amount: i64, note: &str,
) -> Result<Balance> {
    once(conn, actor, now, organization, form, |conn| credits::adjust(conn, actor, now, organization, amount, note))
}

/// The form's id is taken in the transaction of the work: of two that are sent at once, the second waits for the first and then is
/// refused; when the work fails, the id is free again.
fn once<T>(
    conn: &mut PgConnection, actor: &Actor, now: OffsetDateTime, organization: OrgId, form: Uuid,
    work: impl FnOnce(&mut PgConnection) -> Result<T>,
) -> Result<T> {
    actor.require(organization, Permission::Operate)?;
    conn.transaction(|conn| {
        diesel::insert_into(operator_forms::table)
            .values((operator_forms::organization_id.eq(organization), operator_forms::id.eq(form), operator_forms::used_at.eq(now)))
            .execute(conn)
            .map_err(|e| {
                Error::from(e)
                    .on_constraint("operator_forms_organization_id_fkey", || Error::NotFound)
                    .on_constraint("operator_forms_pkey", || {
                        Error::Conflict("This form has done its work already. Open it anew for more.".into())
                    })
            })?;
        work(conn)
    })
}
