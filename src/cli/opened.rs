//! The database of a command: `DATABASE_URL`, or the private cluster, found running or started for the command's length.

use diesel::pg::PgConnection;

use super::failure::Done;
use crate::actor::Actor;
use crate::config::Place;
use crate::db::{self, Db};
use crate::error::{Error, Result};
use crate::orgs::{self, Organization};
use crate::postgres::Cluster;

/// A database, and what keeps it running.
pub struct Opened {
    /// The way to it.
    pub db: Db,
    /// Its address.
    pub url: String,
    /// The private cluster, when it is that; released when the command is over.
    pub cluster: Option<Cluster>,
}

impl Opened {
    /// Finds or starts it, as it is.
    pub fn find(place: &Place, pool: u32) -> Done<Self> {
        let cluster = match place.database_url() {
            Some(_) => None,
            None => Some(Cluster::open(&place.data_dir)?),
        };
        let url = match (&cluster, place.database_url()) {
            (Some(cluster), _) => cluster.url(),
            (None, url) => url.unwrap_or_default().to_owned(),
        };
        Ok(Self { db: Db::new(&url, pool), url, cluster })
    }

    /// Finds or starts it, and brings it up to this version.
    pub fn migrated(place: &Place, pool: u32) -> Done<Self> {
        let opened = Self::find(place, pool)?;
        opened.db.migrate()?;
        Ok(opened)
    }

    /// Releases the private cluster, and waits for its end when nobody else uses it.
    pub fn close(self) -> Done {
        let Self { db, cluster, .. } = self;
        drop(db);
        Ok(cluster.map_or(Ok(()), Cluster::close)?)
    }
}

/// Does a command's work in one transaction, as the command line.
pub fn work<T>(place: &Place, work: impl FnOnce(&mut PgConnection, &Actor) -> Result<T>) -> Done<T> {
    let opened = Opened::migrated(place, 1)?;
    let actor = Actor::command_line();
    let done = opened.db.run_blocking(|conn| db::transaction(conn, |conn| work(conn, &actor)));
    opened.close()?;
    Ok(done?)
}

/// An organization by its slug.
pub fn organization(conn: &mut PgConnection, slug: &str) -> Result<Organization> {
    orgs::by_slug(conn, slug).map_err(|e| match e {
        Error::NotFound => Error::Conflict(format!("There is no organization with the slug {slug:?}; `latchkey org list` shows them.")),
        other => other,
    })
}
