// @generated automatically by Diesel CLI.

diesel::table! {
    api_key_secrets (key_id, generation) {
        organization_id -> Uuid,
        key_id -> Uuid,
        generation -> Int4,
        digest -> Bytea,
        prefix -> Text,
        created_at -> Timestamptz,
        created_by -> Text,
        form_token -> Nullable<Uuid>,
        ends_at -> Nullable<Timestamptz>,
        end_reason -> Nullable<Text>,
        ended_by -> Nullable<Text>,
        leaked_at -> Nullable<Timestamptz>,
        leaked_where -> Nullable<Text>,
    }
}

diesel::table! {
    api_keys (id) {
        id -> Uuid,
        organization_id -> Uuid,
        name -> Text,
        environment -> Text,
        permissions -> Array<Text>,
        created_at -> Timestamptz,
        created_by -> Text,
        created_by_user_id -> Nullable<Uuid>,
        expires_at -> Nullable<Timestamptz>,
        deactivated_at -> Nullable<Timestamptz>,
        revoked_at -> Nullable<Timestamptz>,
        revoked_by -> Nullable<Text>,
        inherits -> Bool,
    }
}

diesel::table! {
    audit_entries (chain, sequence) {
        chain -> Uuid,
        sequence -> Int8,
        at -> Timestamptz,
        actor_kind -> Text,
        actor_id -> Nullable<Uuid>,
        actor_label -> Text,
        action -> Text,
        target_id -> Text,
        target_label -> Text,
        address -> Nullable<Text>,
        user_agent -> Nullable<Text>,
        changes -> Jsonb,
        previous_hash -> Bytea,
        hash -> Bytea,
    }
}

diesel::table! {
    audit_heads (chain) {
        chain -> Uuid,
        sequence -> Int8,
        hash -> Bytea,
    }
}

diesel::table! {
    credit_balances (organization_id) {
        organization_id -> Uuid,
        available -> Int8,
        held -> Int8,
        settled -> Int8,
        last_sequence -> Int8,
        low_threshold -> Nullable<Int8>,
    }
}

diesel::table! {
    credit_entries (organization_id, sequence) {
        organization_id -> Uuid,
        sequence -> Int8,
        at -> Timestamptz,
        kind -> Text,
        amount -> Int8,
        held_amount -> Int8,
        available_after -> Int8,
        held_after -> Int8,
        hold_id -> Nullable<Uuid>,
        request_id -> Nullable<Uuid>,
        job_id -> Nullable<Uuid>,
        actor -> Text,
        note -> Text,
    }
}

diesel::table! {
    credit_hours (organization_id, hour) {
        organization_id -> Uuid,
        hour -> Timestamptz,
        last_sequence -> Int8,
        available_after -> Int8,
        held_after -> Int8,
        settled -> Int8,
        given -> Int8,
    }
}

diesel::table! {
    idempotency_keys (organization_id, key_id, idempotency_key) {
        organization_id -> Uuid,
        key_id -> Uuid,
        idempotency_key -> Text,
        fingerprint -> Bytea,
        status -> Int2,
        answer -> Text,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    invitations (id) {
        id -> Uuid,
        user_id -> Uuid,
        token_digest -> Bytea,
        created_at -> Timestamptz,
        expires_at -> Timestamptz,
        accepted_at -> Nullable<Timestamptz>,
        for_organization_id -> Nullable<Uuid>,
        created_by_user_id -> Nullable<Uuid>,
    }
}

diesel::table! {
    jobs (id) {
        id -> Uuid,
        organization_id -> Uuid,
        key_id -> Uuid,
        request_id -> Uuid,
        kind -> Text,
        environment -> Text,
        sandbox -> Bool,
        input -> Json,
        external_reference -> Nullable<Text>,
        notify_via_webhook -> Bool,
        percentage -> Int2,
        last_sequence -> Int4,
        price -> Int8,
        charge -> Text,
        attempts -> Int2,
        lease -> Nullable<Uuid>,
        lease_expires_at -> Nullable<Timestamptz>,
        created_at -> Timestamptz,
        started_at -> Nullable<Timestamptz>,
        finished_at -> Nullable<Timestamptz>,
        result -> Nullable<Json>,
        error_code -> Nullable<Text>,
        error_message -> Nullable<Text>,
    }
}

diesel::table! {
    key_uses (organization_id, key_id, generation) {
        organization_id -> Uuid,
        key_id -> Uuid,
        generation -> Int4,
        requests -> Int8,
        stale_requests -> Int8,
        ended_requests -> Int8,
        last_request_id -> Nullable<Uuid>,
        last_accepted_id -> Nullable<Uuid>,
        first_ended_id -> Nullable<Uuid>,
        last_ended_id -> Nullable<Uuid>,
    }
}

diesel::table! {
    memberships (organization_id, user_id) {
        organization_id -> Uuid,
        user_id -> Uuid,
        role -> Text,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    operator_forms (organization_id, id) {
        organization_id -> Uuid,
        id -> Uuid,
        used_at -> Timestamptz,
    }
}

diesel::table! {
    organizations (id) {
        id -> Uuid,
        slug -> Text,
        name -> Text,
        requests_per_minute -> Nullable<Int4>,
        suspended_at -> Nullable<Timestamptz>,
        suspended_reason -> Nullable<Text>,
        created_at -> Timestamptz,
        two_factor_required_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    rate_windows (scope_id, limit_number) {
        scope_id -> Uuid,
        limit_number -> Int2,
        ends_at -> Timestamptz,
        used -> Int8,
    }
}

diesel::table! {
    requests (organization_id, id) {
        organization_id -> Uuid,
        id -> Uuid,
        at -> Timestamptz,
        key_id -> Uuid,
        generation -> Int4,
        environment -> Text,
        method -> Text,
        path -> Text,
        route -> Text,
        status -> Int2,
        outcome -> Text,
        duration_us -> Int4,
        credits -> Int8,
        address -> Text,
        user_agent -> Text,
        job_id -> Nullable<Uuid>,
        stale -> Bool,
        detail -> Nullable<Json>,
        reportable -> Nullable<Bool>,
    }
}

diesel::table! {
    request_holds (request_id) {
        request_id -> Uuid,
        organization_id -> Uuid,
        credits -> Int8,
        due_at -> Timestamptz,
    }
}

diesel::table! {
    service_tokens (id) {
        id -> Uuid,
        name -> Text,
        digest -> Bytea,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    sessions (token_digest) {
        token_digest -> Bytea,
        user_id -> Uuid,
        address -> Text,
        user_agent -> Text,
        created_at -> Timestamptz,
        seen_at -> Timestamptz,
        id -> Uuid,
        proved_at -> Timestamptz,
    }
}

diesel::table! {
    sign_in_throttles (subject) {
        subject -> Text,
        failures -> Int4,
        failed_at -> Timestamptz,
        blocked_until -> Timestamptz,
    }
}

diesel::table! {
    usage_days (organization_id, key_id, route, starts_at, environment) {
        organization_id -> Uuid,
        key_id -> Uuid,
        route -> Text,
        starts_at -> Timestamptz,
        environment -> Text,
        requests -> Int8,
        statuses -> Bytea,
        all_durations -> Bytea,
        accepted_durations -> Bytea,
        refused_durations -> Bytea,
        hours -> Bytea,
    }
}

diesel::table! {
    usage_hours (organization_id, key_id, route, starts_at, environment) {
        organization_id -> Uuid,
        key_id -> Uuid,
        route -> Text,
        starts_at -> Timestamptz,
        environment -> Text,
        requests -> Int8,
        statuses -> Bytea,
        all_durations -> Bytea,
        accepted_durations -> Bytea,
        refused_durations -> Bytea,
        hours -> Bytea,
    }
}

diesel::table! {
    usage_pending (organization_id) {
        organization_id -> Uuid,
        hour -> Timestamptz,
        key_id -> Uuid,
        generation -> Int4,
        environment -> Text,
        route -> Text,
        status -> Int2,
        duration_bucket -> Int2,
        requests -> Int8,
        stale_requests -> Int8,
        ended_requests -> Int8,
        last_request_id -> Nullable<Uuid>,
        last_accepted_id -> Nullable<Uuid>,
        first_ended_id -> Nullable<Uuid>,
        last_ended_id -> Nullable<Uuid>,
    }
}

diesel::table! {
    users (id) {
        id -> Uuid,
        email -> Text,
        name -> Text,
        password_hash -> Nullable<Text>,
        staff_role -> Nullable<Text>,
        last_organization_id -> Nullable<Uuid>,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    membership_invitations (organization_id, id) {
        organization_id -> Uuid,
        id -> Uuid,
        email -> Text,
        role -> Text,
        token_digest -> Bytea,
        created_at -> Timestamptz,
        created_by -> Text,
        expires_at -> Timestamptz,
        created_by_user_id -> Nullable<Uuid>,
    }
}

diesel::table! {
    recovery_codes (user_id, digest) {
        user_id -> Uuid,
        digest -> Bytea,
        used_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    sign_in_challenges (token_digest) {
        token_digest -> Bytea,
        user_id -> Uuid,
        expires_at -> Timestamptz,
    }
}

diesel::table! {
    support_visits (organization_id, id) {
        organization_id -> Uuid,
        id -> Uuid,
        user_id -> Uuid,
        reason -> Text,
        opened_at -> Timestamptz,
        ends_at -> Timestamptz,
    }
}

diesel::table! {
    totp_seeds (user_id) {
        user_id -> Uuid,
        sealed -> Bytea,
        created_at -> Timestamptz,
        confirmed_at -> Nullable<Timestamptz>,
        last_step -> Int8,
        session_id -> Uuid,
    }
}

diesel::table! {
    worker_tokens (id) {
        id -> Uuid,
        name -> Text,
        digest -> Bytea,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    deliveries (organization_id, event_id) {
        organization_id -> Uuid,
        event_id -> Uuid,
        lane -> Uuid,
        sequence -> Int4,
        event_type -> Text,
        state -> Text,
        attempts -> Int4,
        failures -> Int2,
        last_status -> Nullable<Int2>,
        last_failure -> Nullable<Text>,
        last_duration_us -> Nullable<Int4>,
        finished_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    delivery_attempts (organization_id, event_id, number) {
        organization_id -> Uuid,
        event_id -> Uuid,
        number -> Int4,
        at -> Timestamptz,
        request -> Text,
        address -> Nullable<Text>,
        status -> Nullable<Int2>,
        answer_head -> Nullable<Text>,
        answer_body -> Nullable<Text>,
        answer_is_cut -> Bool,
        failure -> Nullable<Text>,
        failure_message -> Nullable<Text>,
        dns_us -> Nullable<Int4>,
        connect_us -> Nullable<Int4>,
        tls_us -> Nullable<Int4>,
        first_byte_us -> Nullable<Int4>,
        total_us -> Int4,
    }
}

diesel::table! {
    delivery_lanes (id) {
        organization_id -> Uuid,
        id -> Uuid,
        due_at -> Timestamptz,
        claim -> Nullable<Uuid>,
    }
}

diesel::table! {
    delivery_minutes (organization_id, minute) {
        organization_id -> Uuid,
        minute -> Timestamptz,
        delivered -> Int8,
        gave_up -> Int8,
    }
}

diesel::table! {
    events (organization_id, id) {
        organization_id -> Uuid,
        job_id -> Nullable<Uuid>,
        sequence -> Int4,
        id -> Uuid,
        event_type -> Text,
        payload -> Json,
        created_at -> Timestamptz,
        number -> Nullable<Int8>,
    }
}

diesel::table! {
    webhook_secrets (organization_id, generation) {
        organization_id -> Uuid,
        generation -> Int4,
        sealed -> Bytea,
        hint -> Text,
        created_at -> Timestamptz,
        created_by -> Text,
        ends_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    webhooks (organization_id) {
        organization_id -> Uuid,
        url -> Text,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        disabled_at -> Nullable<Timestamptz>,
        disabled_reason -> Nullable<Text>,
        failing_since -> Nullable<Timestamptz>,
        resumed_at -> Nullable<Timestamptz>,
    }
}

diesel::joinable!(api_key_secrets -> api_keys (key_id));
diesel::joinable!(api_keys -> organizations (organization_id));
diesel::joinable!(invitations -> users (user_id));
diesel::joinable!(memberships -> organizations (organization_id));
diesel::joinable!(memberships -> users (user_id));
diesel::joinable!(membership_invitations -> organizations (organization_id));
diesel::joinable!(operator_forms -> organizations (organization_id));
diesel::joinable!(sessions -> users (user_id));
diesel::joinable!(sign_in_challenges -> users (user_id));
diesel::joinable!(support_visits -> organizations (organization_id));
diesel::joinable!(support_visits -> users (user_id));
diesel::joinable!(totp_seeds -> users (user_id));

diesel::allow_tables_to_appear_in_same_query!(
    api_key_secrets,
    api_keys,
    audit_entries,
    audit_heads,
    credit_balances,
    credit_entries,
    credit_hours,
    deliveries,
    delivery_attempts,
    delivery_lanes,
    delivery_minutes,
    events,
    idempotency_keys,
    invitations,
    jobs,
    key_uses,
    membership_invitations,
    memberships,
    operator_forms,
    organizations,
    rate_windows,
    recovery_codes,
    request_holds,
    requests,
    service_tokens,
    sessions,
    sign_in_challenges,
    sign_in_throttles,
    support_visits,
    totp_seeds,
    usage_days,
    usage_hours,
    usage_pending,
    users,
    webhook_secrets,
    webhooks,
    worker_tokens,
);
