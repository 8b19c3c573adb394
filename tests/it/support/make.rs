//! People, organizations and keys, put straight into the database.
//!
//! `make().org().credits(5).admin().member().key()`: people and keys join the organization made last.

use std::sync::Arc;

use argon2::password_hash::PasswordHasher;
use argon2::{Algorithm, Argon2, Params, Version};
use diesel::sql_types::{Array, Binary, Nullable, Text, Timestamptz, Uuid};
use diesel::{Connection, PgConnection, RunQueryDsl, sql_query};
use latchkey::actor::Actor;
use latchkey::credits::{Books, Purpose};
use latchkey::ids::{JobId, KeyId, OrgId, RequestId, UserId, new_uuid};
use latchkey::profile::Profile;
use latchkey::secret::{PlainToken, SecretDigest, random_base62};
use latchkey::{clock, credits};
use time::OffsetDateTime;

/// An organization.
#[derive(Debug, Clone)]
pub struct Org {
    pub id: OrgId,
    pub slug: String,
    pub name: String,
}

/// A person who can sign in.
#[derive(Debug, Clone)]
pub struct User {
    pub id: UserId,
    pub email: String,
    pub password: String,
    pub name: String,
}

/// An API key with its text.
#[derive(Debug, Clone)]
pub struct Key {
    pub id: KeyId,
    pub text: String,
    /// As the screens show it.
    pub prefix: String,
}

/// Makes things, and remembers them.
pub struct Make {
    pub(super) conn: PgConnection,
    profile: Arc<Profile>,
    orgs: Vec<Org>,
    admins: Vec<User>,
    members: Vec<User>,
    keys: Vec<Key>,
}

impl Make {
    pub fn new(conn: PgConnection, profile: Arc<Profile>) -> Self {
        Self { conn, profile, orgs: Vec::new(), admins: Vec::new(), members: Vec::new(), keys: Vec::new() }
    }

    /// An organization with a random slug and no credits.
    pub fn org(self) -> Self {
        let slug = format!("org-{}", tail());
        self.org_named(&slug)
    }

    /// An organization with this slug.
    pub fn org_named(mut self, slug: &str) -> Self {
        let id = OrgId::new(clock::now());
        let name = format!("Organization {slug}");
        sql_query("INSERT INTO organizations (id, slug, name, created_at) VALUES ($1, $2, $3, $4)")
            .bind::<Uuid, _>(id)
            .bind::<Text, _>(slug)
            .bind::<Text, _>(&name)
            .bind::<Timestamptz, _>(clock::now())
            .execute(&mut self.conn)
            .unwrap();
        credits::open_account(&mut self.conn, id).unwrap();
        self.orgs.push(Org { id, slug: slug.into(), name });
        self
    }

    /// Grants credits.
    pub fn credits(mut self, amount: i64) -> Self {
        let org = self.here().id;
        credits::grant(&mut self.conn, &Actor::command_line(), clock::now(), org, amount, "for a test").unwrap();
        self
    }

    /// Grants credits at a moment, later than what was done before.
    pub fn granted(mut self, at: OffsetDateTime, amount: i64) -> Self {
        let org = self.here().id;
        credits::grant(&mut self.conn, &Actor::command_line(), at, org, amount, "Invoice 2026-1009").unwrap();
        self
    }

    /// Spends credits at a moment, later than what was done before: so many holds of one credit, each settled at once.
    pub fn spent(mut self, at: OffsetDateTime, holds: usize) -> Self {
        let org = self.here().id;
        let actor = self.keys.last().map_or_else(|| "A test".into(), |key| format!("Key {}…", key.prefix));
        let spent: latchkey::error::Result<()> = self.conn.transaction(|conn| {
            let mut books = Books::open(conn, at, [org])?;
            for _ in 0..holds {
                let (job, request_id) = (JobId::new(at), Some(RequestId::new(at)));
                let purpose = Purpose { hold_id: job.0, request_id, job_id: Some(job), actor: actor.clone(), note: String::new() };
                assert!(books.hold(org, 1, &purpose), "there are credits");
                books.settle(org, 1, &purpose);
            }
            books.close(conn)
        });
        spent.unwrap();
        self
    }

    /// Warns below so many credits.
    pub fn threshold(mut self, threshold: i64) -> Self {
        let org = self.here().id;
        credits::set_threshold(&mut self.conn, &Actor::command_line(), clock::now(), org, Some(threshold)).unwrap();
        self
    }

    /// A limit in place of the profile's.
    pub fn requests_per_minute(mut self, requests: i32) -> Self {
        let org = self.here().id;
        sql_query("UPDATE organizations SET requests_per_minute = $1 WHERE id = $2")
            .bind::<diesel::sql_types::Integer, _>(requests)
            .bind::<Uuid, _>(org)
            .execute(&mut self.conn)
            .unwrap();
        self
    }

    /// A person who manages it.
    pub fn admin(mut self) -> Self {
        let user = self.person(None);
        self.join(user.id, "admin");
        self.admins.push(user);
        self
    }

    /// A person who looks.
    pub fn member(mut self) -> Self {
        let user = self.person(None);
        self.join(user.id, "member");
        self.members.push(user);
        self
    }

    /// Lets somebody made before join the organization made last.
    pub fn join_as(mut self, user: &User, role: &str) -> Self {
        self.join(user.id, role);
        self
    }

    /// An active key of the default environment with every permission of the profile.
    pub fn key(self) -> Self {
        let environment = self.profile.default_environment().to_owned();
        self.key_in(&environment)
    }

    /// An active key of this environment.
    pub fn key_in(mut self, environment: &str) -> Self {
        let (id, now, org) = (KeyId::new(clock::now()), clock::now(), self.here().id);
        let text = key_text(&self.profile, environment);
        let prefix = text[..text.len() - 32].to_owned();
        sql_query(
            "INSERT INTO api_keys (id, organization_id, name, environment, permissions, created_at, created_by)
             VALUES ($1, $2, $3, $4, $5, $6, 'A test')",
        )
        .bind::<Uuid, _>(id)
        .bind::<Uuid, _>(org)
        .bind::<Text, _>(format!("Key {}", self.keys.len() + 1))
        .bind::<Text, _>(environment)
        .bind::<Array<Text>, _>(&self.profile.permissions.list)
        .bind::<Timestamptz, _>(now)
        .execute(&mut self.conn)
        .unwrap();
        sql_query(
            "INSERT INTO api_key_secrets (organization_id, key_id, generation, digest, prefix, created_at, created_by)
             VALUES ($1, $2, 1, $3, $4, $5, 'A test')",
        )
        .bind::<Uuid, _>(org)
        .bind::<Uuid, _>(id)
        .bind::<Binary, _>(SecretDigest::of(&text))
        .bind::<Text, _>(&prefix)
        .bind::<Timestamptz, _>(now)
        .execute(&mut self.conn)
        .unwrap();
        self.keys.push(Key { id, text, prefix });
        self
    }

    /// A person of no organization, with a staff role or none.
    pub fn person(&mut self, staff_role: Option<&str>) -> User {
        let id = UserId::new(clock::now());
        let tail = tail();
        let user =
            User { id, email: format!("{tail}@example.com"), password: format!("correct horse {tail}"), name: format!("Person {tail}") };
        sql_query("INSERT INTO users (id, email, name, password_hash, staff_role, created_at) VALUES ($1, $2, $3, $4, $5, $6)")
            .bind::<Uuid, _>(id)
            .bind::<Text, _>(&user.email)
            .bind::<Text, _>(&user.name)
            .bind::<Text, _>(cheap_hash(&user.password))
            .bind::<Nullable<Text>, _>(staff_role)
            .bind::<Timestamptz, _>(clock::now())
            .execute(&mut self.conn)
            .unwrap();
        user
    }

    /// A worker's token.
    pub fn worker_token(&mut self) -> String {
        self.token("worker_tokens", "lkw")
    }

    /// A service's token.
    pub fn service_token(&mut self) -> String {
        self.token("service_tokens", "lks")
    }

    fn token(&mut self, table: &str, prefix: &str) -> String {
        let token = PlainToken::generate(prefix).unwrap();
        sql_query(format!("INSERT INTO {table} (id, name, digest, created_at) VALUES ($1, $2, $3, $4)"))
            .bind::<Uuid, _>(new_uuid(clock::now()))
            .bind::<Text, _>(format!("program {}", tail()))
            .bind::<Binary, _>(token.digest())
            .bind::<Timestamptz, _>(clock::now())
            .execute(&mut self.conn)
            .unwrap();
        token.reveal().to_owned()
    }

    /// The organization made last.
    pub fn here(&self) -> &Org {
        self.orgs.last().expect("an organization first")
    }

    /// Every organization, in the order of making.
    pub fn orgs(&self) -> &[Org] {
        &self.orgs
    }

    /// The administrator made last.
    pub fn an_admin(&self) -> &User {
        self.admins.last().expect("an administrator first")
    }

    /// The member made last.
    pub fn a_member(&self) -> &User {
        self.members.last().expect("a member first")
    }

    /// The key made last.
    pub fn a_key(&self) -> &Key {
        self.keys.last().expect("a key first")
    }

    /// Every key, in the order of making.
    pub fn keys(&self) -> &[Key] {
        &self.keys
    }

    fn join(&mut self, user: UserId, role: &str) {
        let org = self.here().id;
        sql_query("INSERT INTO memberships (organization_id, user_id, role, created_at) VALUES ($1, $2, $3, $4)")
            .bind::<Uuid, _>(org)
            .bind::<Uuid, _>(user)
            .bind::<Text, _>(role)
            .bind::<Timestamptz, _>(clock::now())
            .execute(&mut self.conn)
            .unwrap();
    }
}

/// A key's text as the profile writes it, with a right checksum.
pub fn key_text(profile: &Profile, environment: &str) -> String {
    let random = random_base62(30).unwrap();
    let word = if profile.keys.environments.is_empty() { String::new() } else { format!("{environment}_") };
    format!("{}_{word}{random}{}", profile.keys.prefix, checksum(&random))
}

/// CRC-32 in base 62, six digits. Written here once more on purpose: the tests don't ask the code under test.
pub fn checksum(random: &str) -> String {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut rest = crc32fast::hash(random.as_bytes());
    let mut digits = [b'0'; 6];
    for digit in digits.iter_mut().rev() {
        *digit = DIGITS[(rest % 62) as usize];
        rest /= 62;
    }
    String::from_utf8(digits.to_vec()).unwrap()
}

/// Argon2id with the least cost: what it is worth is not what these tests look at.
fn cheap_hash(password: &str) -> String {
    let params = Params::new(Params::MIN_M_COST, 1, 1, None).unwrap();
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    argon.hash_password(password.as_bytes()).unwrap().to_string()
}

fn tail() -> String {
    random_base62(10).unwrap().to_lowercase()
}
