//! What each action is called. A test reads the source: an action that is written anywhere has its words here.

/// Each action with its sentence about whoever did it, by noun.
pub const ACTIONS: &[(&str, &str)] = &[
    ("account.created", "Created the account"),
    ("account.invited", "Made a one-time link for a password"),
    ("account.password_cleared", "Took the password away"),
    ("account.password_set", "Set the password"),
    ("account.recovery_code_used", "Signed in with a recovery code"),
    ("account.recovery_codes_renewed", "Made new recovery codes"),
    ("account.renamed", "Changed the name"),
    ("account.reset_asked", "Asked for a link for a lost password"),
    ("account.staff_role_set", "Changed the role on the staff"),
    ("account.two_factor_off", "Turned two-factor sign-in off"),
    ("account.two_factor_on", "Turned two-factor sign-in on"),
    ("credits.adjusted", "Adjusted the credits"),
    ("credits.granted", "Granted credits"),
    ("credits.threshold_set", "Set when to warn of a low balance"),
    ("deliveries.resent", "Resent the failed deliveries"),
    ("delivery.resent", "Resent the delivery"),
    ("key.activated", "Activated the key"),
    ("key.created", "Created the key"),
    ("key.deactivated", "Deactivated the key"),
    ("key.edited", "Edited the key"),
    ("key.grace_ended", "Ended the old key’s grace period"),
    ("key.leaked", "Reported the key as found in public"),
    ("key.revoked", "Revoked the key"),
    ("key.rotated", "Rotated the key"),
    ("member.added", "Added the member"),
    ("member.invitation_withdrawn", "Withdrew the invitation"),
    ("member.invited", "Invited a member"),
    ("member.joined", "Joined by an invitation"),
    ("member.password_link_made", "Made a link for the member’s lost password"),
    ("member.removed", "Removed the member"),
    ("member.role_changed", "Changed the member’s role"),
    ("organization.created", "Created the organization"),
    ("organization.limit_set", "Set the organization’s limit"),
    ("organization.reinstated", "Reinstated the organization"),
    ("organization.suspended", "Suspended the organization"),
    ("organization.two_factor_set", "Set whether members need two-factor sign-in"),
    ("service_token.created", "Created the service token"),
    ("session.ended", "Signed out"),
    ("session.ended_everywhere", "Signed out everywhere"),
    ("session.refused", "Was refused at sign-in"),
    ("session.started", "Signed in"),
    ("support.ended", "Ended the visit as support"),
    ("support.exported", "Downloaded a file as support"),
    ("support.opened", "Opened the organization as support"),
    ("webhook.created", "Saved the webhook"),
    ("webhook.disabled", "Switched the webhook off"),
    ("webhook.enabled", "Switched the webhook on"),
    ("webhook.removed", "Removed the webhook"),
    ("webhook.secret_rotated", "Rotated the signing secret"),
    ("webhook.updated", "Changed the webhook"),
    ("worker_token.created", "Created the worker token"),
];

/// The sentence of an action; the action itself where it has none, as one that another version wrote.
pub fn sentence(action: &str) -> &str {
    ACTIONS.iter().find(|(name, _)| *name == action).map_or(action, |(_, words)| words)
}

/// What an action was done to: `key` of `key.rotated`.
pub fn noun(action: &str) -> &str {
    action.split('.').next().unwrap_or_default()
}
