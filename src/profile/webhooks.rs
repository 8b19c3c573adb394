//! What deliveries carry beyond Standard Webhooks.

use serde::Deserialize;

use super::Template;

/// What deliveries carry beyond Standard Webhooks.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webhooks {
    /// Signatures in a form that receivers already check.
    #[serde(default)]
    pub signature_headers: Vec<SignatureHeader>,
}

/// One signature in a form of the profile's own: HMAC-SHA256 with the bytes of the newest secret.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignatureHeader {
    /// Name of the header.
    pub name: String,
    /// What is signed: text with `{id}` `{timestamp}` `{body}`.
    pub signed: Template,
    /// What the header says: text with `{hex}` `{base64}` `{timestamp}` `{id}`.
    pub value: Template,
}
