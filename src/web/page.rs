//! From a template to an answer.

use actix_web::http::StatusCode;
use actix_web::http::header::{LOCATION, VARY};
use actix_web::{HttpRequest, HttpResponse};
use askama::{DynTemplate, Template};

use super::Answer;
use super::flash::Flash;

/// Marks a whole page: it has shown the flash, if there was one.
pub struct WholePage;

/// A whole page.
///
/// # Errors
/// `Internal` when the template fails.
pub fn page(template: &impl Template) -> Answer {
    page_with_status(StatusCode::OK, template)
}

/// A whole page that is not 200: a form whose input was not accepted.
///
/// # Errors
/// As [`page`].
pub fn page_with_status(status: StatusCode, template: &impl Template) -> Answer {
    let mut response = html(status, template)?;
    response.extensions_mut().insert(WholePage);
    Ok(response)
}

/// Part of a page for htmx: `fragment(&screen.as_rows())`, with `blocks = ["rows"]` on the screen's struct.
///
/// # Errors
/// As [`page`].
pub fn fragment(template: &impl Template) -> Answer {
    html(StatusCode::OK, template)
}

/// Several parts of a page in one answer: all but the first say themselves what they replace (`hx-swap-oob`).
///
/// # Errors
/// As [`page`].
pub fn fragments(parts: &[&dyn DynTemplate]) -> Answer {
    let parts = parts.iter().map(|part| part.dyn_render()).collect::<askama::Result<String>>()?;
    Ok(answer(StatusCode::OK, parts))
}

fn html(status: StatusCode, template: &impl Template) -> Answer {
    Ok(answer(status, template.render()?))
}

fn answer(status: StatusCode, body: String) -> HttpResponse {
    let mut response = HttpResponse::build(status);
    // One address answers with a page or with a part of it.
    response.insert_header((VARY, "HX-Request-Type"));
    response.content_type("text/html; charset=utf-8").body(body)
}

/// 303: on to another page of ours.
pub fn see_other(location: &str) -> HttpResponse {
    HttpResponse::SeeOther().insert_header((LOCATION, location)).finish()
}

/// 303 to a page that says what happened.
pub fn see_other_with(location: &str, flash: Flash) -> HttpResponse {
    let mut response = see_other(location);
    response.extensions_mut().insert(flash);
    response
}

/// Whether htmx asks for part of a page: a confirmation, a table, a row. What has `hx-select` wants the whole page.
pub fn wants_fragment(request: &HttpRequest) -> bool {
    is_htmx(request) && request.headers().get("HX-Request-Type").is_some_and(|value| value == "partial")
}

/// Whether htmx asks.
pub fn is_htmx(request: &HttpRequest) -> bool {
    request.headers().get("HX-Request").is_some_and(|value| value == "true")
}

#[cfg(test)]
mod tests {
    use askama::Template;

    use crate::web::{Frame, Tab, filters};

    /// A screen in little: one struct, the layout's page and a fragment of it.
    #[derive(Template)]
    #[template(
        ext = "html",
        source = "{% extends \"layouts/tabs.html\" %}{% block content %}{% block rows %}<p>{{ 1284|number }} {{ (-1i64)|signed }} {{ frame.now|ago(frame.now) }}</p>{% endblock %}<hr>{% endblock %}",
        blocks = ["rows"]
    )]
    struct Screen {
        frame: Frame,
    }

    impl Screen {
        fn tab(&self) -> Tab {
            Tab::Usage
        }
    }

    #[test]
    fn a_fragment_is_the_pages_own_markup() {
        let site = crate::site::Site {
            db: crate::db::Db::new("postgres://nowhere.invalid", 1),
            profile: std::sync::Arc::new(crate::profile::Profile::load("analysis").expect("the default profile")),
            public_url: "https://console.motion.example".into(),
            keyring: crate::sealed::SecretKey([7; 32]).into(),
            webhooks: std::sync::Arc::default(),
            retention: crate::site::Retention::default(),
            news: crate::news::News::default(),
            mail: None,
            leaks: std::sync::Arc::default(),
            proxies: std::sync::Arc::default(),
        };
        let screen = Screen { frame: Frame::of_site(&site) };
        let (whole, rows) = (screen.render().expect("renders"), screen.as_rows().render().expect("renders"));
        assert!(rows.starts_with("<p>1,284 −1 <time datetime=") && rows.ends_with("just now</time></p>"), "{rows}");
        assert!(whole.contains(&rows), "{whole}");
        assert!(whole.contains("aria-current=\"page\">Usage</a>"), "{whole}");
        assert!(whole.contains("<title>Usage · Latchkey</title>"));
    }
}
