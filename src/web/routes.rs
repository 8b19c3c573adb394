//! Every path of the dashboard, with who may ask for it. `configure` serves this table and nothing else.

use std::collections::BTreeMap;

use actix_web::guard;
use actix_web::http::Method;
use actix_web::http::header::{ACCEPT, AUTHORIZATION};
use actix_web::middleware::{Compress, from_fn};
use actix_web::{Route, web};

use super::{
    Answer, Member, WebError, account, assets, audit, credits, docs, edge, home, invitations, keys, leaks, members, password_reset,
    session, sign_in, support, usage, webhooks,
};
use crate::error::Error;
use crate::site::Site;

/// Who may ask. A declaration: guards and capabilities enforce it, and a test compares the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// Nobody in particular.
    Anyone,
    /// Somebody who is signed in.
    Person,
    /// A member of the organization in the path, or staff who look at it.
    Member,
    /// An admin of the organization in the path, or staff who look at it.
    Auditor,
    /// An admin of the organization in the path.
    Admin,
    /// Somebody of the staff.
    Staff,
    /// An operator of the staff.
    Operator,
}

/// One line of the table.
#[derive(Clone)]
pub struct Declared {
    /// GET or POST.
    pub method: Method,
    /// With `{slug}` for an organization.
    pub path: &'static str,
    /// Who may ask.
    pub needs: Needs,
    /// Pages ask for it by themselves, from time to time: it keeps no session from being idle.
    pub by_itself: bool,
    /// The same for everybody: no session is looked at, and anybody's cache may keep it.
    pub is_common: bool,
    serve: fn() -> Route,
}

const fn get(path: &'static str, needs: Needs, serve: fn() -> Route) -> Declared {
    Declared { method: Method::GET, path, needs, by_itself: false, is_common: false, serve }
}

const fn post(path: &'static str, needs: Needs, serve: fn() -> Route) -> Declared {
    Declared { method: Method::POST, path, needs, by_itself: false, is_common: false, serve }
}

const fn poll(path: &'static str, needs: Needs, serve: fn() -> Route) -> Declared {
    Declared { method: Method::GET, path, needs, by_itself: true, is_common: false, serve }
}

const fn common(path: &'static str, serve: fn() -> Route) -> Declared {
    Declared { method: Method::GET, path, needs: Needs::Anyone, by_itself: false, is_common: true, serve }
}

/// The table. A screen adds its lines here.
pub const ROUTES: &[Declared] = &[
    get("/", Needs::Anyone, || web::to(home::index)),
    common("/docs/api", || web::to(docs::page)),
    common("/openapi.json", || web::to(docs::document)),
    get("/sign-in", Needs::Anyone, || web::to(sign_in::show)),
    post("/sign-in", Needs::Anyone, || web::to(sign_in::create)),
    post("/sign-in/code", Needs::Anyone, || web::to(sign_in::answer)),
    post("/sign-out", Needs::Anyone, || web::to(sign_in::sign_out)),
    post("/sign-out-everywhere", Needs::Person, || web::to(sign_in::sign_out_everywhere)),
    get("/account", Needs::Person, || web::to(account::index)),
    post("/account/name", Needs::Person, || web::to(account::rename)),
    post("/account/password", Needs::Person, || web::to(account::change_password)),
    post("/account/sessions/{session}/sign-out", Needs::Person, || web::to(account::end_session)),
    get("/account/two-factor", Needs::Person, || web::to(account::set_up)),
    post("/account/two-factor", Needs::Person, || web::to(account::turn_on)),
    get("/account/two-factor/recovery-codes", Needs::Person, || web::to(account::ask_renewal)),
    post("/account/two-factor/recovery-codes", Needs::Person, || web::to(account::renew)),
    get("/account/two-factor/removal", Needs::Person, || web::to(account::ask_off)),
    post("/account/two-factor/removal", Needs::Person, || web::to(account::turn_off)),
    get("/invitations/{token}", Needs::Anyone, || web::to(invitations::show)),
    post("/invitations/{token}", Needs::Anyone, || web::to(invitations::accept)),
    get("/leaked-keys", Needs::Anyone, || web::to(leaks::show)),
    post("/leaked-keys", Needs::Anyone, || web::to(leaks::create)),
    common("/leaked-keys/gitleaks.toml", || web::to(leaks::rule)),
    get("/password-reset", Needs::Anyone, || web::to(password_reset::show)),
    post("/password-reset", Needs::Anyone, || web::to(password_reset::create)),
    get("/support", Needs::Staff, || web::to(support::index)),
    post("/support/searches", Needs::Staff, || web::to(support::search)),
    get("/support/new-organization", Needs::Operator, || web::to(support::ask_organization)),
    post("/support/new-organization", Needs::Operator, || web::to(support::make_organization)),
    get("/support/organizations/{slug}", Needs::Staff, || web::to(support::show)),
    post("/support/organizations/{slug}/visits", Needs::Staff, || web::to(support::open)),
    post("/support/organizations/{slug}/visit-end", Needs::Staff, || web::to(support::end)),
    get("/support/organizations/{slug}/suspension", Needs::Operator, || web::to(support::confirm)),
    post("/support/organizations/{slug}/suspension", Needs::Operator, || web::to(support::act)),
    get("/support/organizations/{slug}/reinstatement", Needs::Operator, || web::to(support::confirm)),
    post("/support/organizations/{slug}/reinstatement", Needs::Operator, || web::to(support::act)),
    get("/support/organizations/{slug}/grants", Needs::Operator, || web::to(support::confirm)),
    post("/support/organizations/{slug}/grants", Needs::Operator, || web::to(support::act)),
    get("/support/organizations/{slug}/adjustments", Needs::Operator, || web::to(support::confirm)),
    post("/support/organizations/{slug}/adjustments", Needs::Operator, || web::to(support::act)),
    get("/support/organizations/{slug}/limit", Needs::Operator, || web::to(support::confirm)),
    post("/support/organizations/{slug}/limit", Needs::Operator, || web::to(support::act)),
    get("/orgs/{slug}", Needs::Member, || web::to(home::organization)),
    get("/orgs/{slug}/api-keys", Needs::Member, || web::to(keys::index)),
    post("/orgs/{slug}/api-keys", Needs::Admin, || web::to(keys::create)),
    get("/orgs/{slug}/api-keys/new", Needs::Admin, || web::to(keys::new)),
    post("/orgs/{slug}/api-keys/{key}", Needs::Admin, || web::to(keys::update)),
    get("/orgs/{slug}/api-keys/{key}/edit", Needs::Admin, || web::to(keys::edit)),
    get("/orgs/{slug}/api-keys/{key}/rotation", Needs::Admin, || web::to(keys::confirm_rotation)),
    post("/orgs/{slug}/api-keys/{key}/rotation", Needs::Admin, || web::to(keys::rotate)),
    get("/orgs/{slug}/api-keys/{key}/revocation", Needs::Admin, || web::to(keys::confirm_revocation)),
    post("/orgs/{slug}/api-keys/{key}/revocation", Needs::Admin, || web::to(keys::revoke)),
    post("/orgs/{slug}/api-keys/{key}/grace-end", Needs::Admin, || web::to(keys::end_grace)),
    post("/orgs/{slug}/api-keys/{key}/deactivation", Needs::Admin, || web::to(keys::deactivate)),
    post("/orgs/{slug}/api-keys/{key}/activation", Needs::Admin, || web::to(keys::activate)),
    get("/orgs/{slug}/webhooks", Needs::Member, || web::to(webhooks::index)),
    post("/orgs/{slug}/webhooks", Needs::Admin, || web::to(webhooks::save)),
    poll("/orgs/{slug}/webhooks/live", Needs::Member, || web::to(webhooks::live)),
    get("/orgs/{slug}/webhooks/edit", Needs::Admin, || web::to(webhooks::edit)),
    post("/orgs/{slug}/webhooks/activation", Needs::Admin, || web::to(webhooks::activate)),
    post("/orgs/{slug}/webhooks/deactivation", Needs::Admin, || web::to(webhooks::deactivate)),
    post("/orgs/{slug}/webhooks/test", Needs::Admin, || web::to(webhooks::send_test)),
    get("/orgs/{slug}/webhooks/secret-rotation", Needs::Admin, || web::to(webhooks::confirm_rotation)),
    post("/orgs/{slug}/webhooks/secret-rotation", Needs::Admin, || web::to(webhooks::rotate)),
    get("/orgs/{slug}/webhooks/removal", Needs::Admin, || web::to(webhooks::confirm_removal)),
    post("/orgs/{slug}/webhooks/removal", Needs::Admin, || web::to(webhooks::remove)),
    post("/orgs/{slug}/webhooks/deliveries/{delivery}/replay", Needs::Admin, || web::to(webhooks::replay)),
    get("/orgs/{slug}/webhooks/replays", Needs::Admin, || web::to(webhooks::ask_replays)),
    post("/orgs/{slug}/webhooks/replays", Needs::Admin, || web::to(webhooks::replay_failed)),
    get("/orgs/{slug}/usage", Needs::Member, || web::to(usage::index)),
    poll("/orgs/{slug}/usage/live", Needs::Member, || web::to(usage::live)),
    get("/orgs/{slug}/usage/requests.csv", Needs::Member, || web::to(usage::export)),
    get("/orgs/{slug}/credits", Needs::Member, || web::to(credits::index)),
    get("/orgs/{slug}/credits/entries.csv", Needs::Member, || web::to(credits::export)),
    post("/orgs/{slug}/credits/threshold", Needs::Admin, || web::to(credits::set_threshold)),
    get("/orgs/{slug}/members", Needs::Member, || web::to(members::index)),
    post("/orgs/{slug}/members/invitations", Needs::Admin, || web::to(members::invite)),
    post("/orgs/{slug}/members/invitations/{invitation}/withdrawal", Needs::Admin, || web::to(members::withdraw)),
    get("/orgs/{slug}/members/two-factor", Needs::Admin, || web::to(members::confirm_two_factor)),
    post("/orgs/{slug}/members/two-factor", Needs::Admin, || web::to(members::set_two_factor)),
    get("/orgs/{slug}/members/{user}/role", Needs::Admin, || web::to(members::confirm_role)),
    post("/orgs/{slug}/members/{user}/role", Needs::Admin, || web::to(members::set_role)),
    // Everybody's own, too.
    get("/orgs/{slug}/members/{user}/removal", Needs::Admin, || web::to(members::confirm_removal)),
    post("/orgs/{slug}/members/{user}/removal", Needs::Admin, || web::to(members::remove)),
    get("/orgs/{slug}/members/{user}/password-link", Needs::Admin, || web::to(members::confirm_link)),
    post("/orgs/{slug}/members/{user}/password-link", Needs::Admin, || web::to(members::make_link)),
    get("/orgs/{slug}/audit-log", Needs::Auditor, || web::to(audit::index)),
    get("/orgs/{slug}/audit-log/entries.csv", Needs::Auditor, || web::to(audit::export)),
    get("/support/audit-log", Needs::Staff, || web::to(audit::index_all)),
    get("/support/audit-log/entries.csv", Needs::Staff, || web::to(audit::export_all)),
];

/// Who may ask follows from where it is: a line that says something else doesn't compile.
const _: () = {
    let mut at = 0;
    while at < ROUTES.len() {
        let route = &ROUTES[at];
        let of_organization = matches!(route.needs, Needs::Member | Needs::Auditor | Needs::Admin);
        let of_staff = matches!(route.needs, Needs::Staff | Needs::Operator);
        assert!(begins(route.path, "/orgs/") == of_organization, "a path below /orgs needs a Member, an Auditor or an Admin");
        assert!(begins(route.path, "/support") == of_staff, "a path below /support needs Staff or an Operator");
        at += 1;
    }
};

const fn begins(path: &str, with: &str) -> bool {
    let (path, with) = (path.as_bytes(), with.as_bytes());
    let mut at = 0;
    while at < with.len() {
        if at >= path.len() || path[at] != with[at] {
            return false;
        }
        at += 1;
    }
    true
}

/// Serves the table on paths of its own, each in its middleware: whatever else the server has keeps clear of them. Pages below
/// `/orgs` that don't exist are told so by the dashboard.
pub fn configure(config: &mut web::ServiceConfig, site: &Site) {
    // Sorted, so that `new` stands before `{key}`: the first path that matches is served.
    let mut paths: BTreeMap<&'static str, Vec<&'static Declared>> = BTreeMap::new();
    for route in ROUTES {
        paths.entry(route.path).or_default().push(route);
    }
    config.app_data(web::Data::new(docs::Published::default()));
    for (path, routes) in paths {
        let mut resource = web::resource(path);
        let (by_itself, mut allowed) = (routes.iter().all(|route| route.by_itself), Vec::new());
        for route in &routes {
            allowed.push(route.method.clone());
            resource = resource.route(if route.method == Method::GET {
                allowed.push(Method::HEAD);
                (route.serve)().guard(guard::Any(guard::Get()).or(guard::Head()))
            } else {
                (route.serve)().method(route.method.clone())
            });
        }
        let resource = resource.default_service(web::to(move || {
            let response = edge::wrong_method(&allowed);
            async move { response }
        }));
        if routes.iter().all(|route| route.is_common) {
            config.service(resource.wrap(from_fn(edge::edge)));
        } else {
            config.service(resource.wrap(session::middleware(site, by_itself)).wrap(from_fn(edge::edge)).wrap(Compress::default()));
        }
    }
    let files = web::resource("/assets/{path:.*}").guard(guard::Any(guard::Get()).or(guard::Head())).to(assets::show);
    config.service(files.wrap(from_fn(edge::edge)).wrap(Compress::default()));
    let rest = web::resource("/orgs/{slug}/{rest:.*}").to(nothing);
    config.service(rest.wrap(session::middleware(site, false)).wrap(from_fn(edge::edge)).wrap(Compress::default()));
}

/// Serves a page for every address that is nobody's, to those who would rather have a page and bring no API key: programs are
/// told in JSON, and in their key's history, whatever they accept. Call it after all other edges.
pub fn configure_rest(config: &mut web::ServiceConfig, site: &Site) {
    let profile = site.profile.clone();
    let wants_page = move |context: &guard::GuardContext<'_>| {
        let headers = context.head().headers();
        let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok());
        let has_key = headers.contains_key(AUTHORIZATION)
            || profile.api.key_headers.iter().any(|name| headers.contains_key(name.as_str()))
            || has_parameter(context.head().uri.query().unwrap_or_default(), &profile.api.key_parameters);
        !has_key && accept.is_some_and(|accept| accept.contains("text/html"))
    };
    let rest = web::resource("/{rest:.*}").guard(guard::fn_guard(wants_page)).to(async || Answer::Err(WebError(Error::NotFound)));
    config.service(rest.wrap(session::middleware(site, false)).wrap(from_fn(edge::edge)).wrap(Compress::default()));
}

/// Whether a query carries one of these, whatever its value.
fn has_parameter(query: &str, names: &[String]) -> bool {
    let pairs = web::Query::<Vec<(String, String)>>::from_query(query);
    !names.is_empty() && pairs.is_ok_and(|pairs| pairs.iter().any(|(name, _)| names.contains(name)))
}

/// Told to a member in the frame of the organization; who is not signed in is sent to do so, as from every other address here.
async fn nothing(_: Member) -> Answer {
    Err(WebError(Error::NotFound))
}
