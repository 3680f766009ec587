package config

import "strings"

// stackKeys are the settings of all programs of the project. They share one
// environment file, so that what is another program's setting is no misspelling
// of one's own. The test of docs/configuration.md keeps the list complete.
const stackKeys = `
	ADMIN_ADDR ADMIN_ALLOW_REMOTE
	ALERT_MAX_PER_MINUTE ALERT_MIN_SEVERITY
	GUARD_ENABLED GUARD_THRESHOLD GUARD_URL
	LLM_API_BASE LLM_API_KEY LLM_API_KEY_FILE LLM_API_PROVIDER
	LOG_FORMAT LOG_LEVEL
	NATS_NKEY_SEED NATS_NKEY_SEED_FILE NATS_URL
	NOTIFIER_FORMAT
	OPENCLAW_HOST
	SECBUS_DATA SECBUS_SOURCES
	SECURITY_ALERTS_MAX_AGE SECURITY_ALERTS_MAX_BYTES
	SECURITY_AUDIT_MAX_AGE SECURITY_AUDIT_MAX_BYTES
	SECURITY_DEAD_MAX_AGE SECURITY_DEAD_MAX_BYTES
	SECURITY_MAX_AGE SECURITY_MAX_BYTES
	SHIPPER_HINT SHIPPER_MAPPING SHIPPER_MAX_LINE SHIPPER_PATH SHIPPER_RULES
	SHIPPER_SOURCE SHIPPER_START
	SURICATA_EVE_PATH
	TELEGRAM_BOT_TOKEN TELEGRAM_BOT_TOKEN_FILE TELEGRAM_CHAT_ID
	TRACEE_EVENTS_PATH
`

// StackKeys returns the names of all settings of all programs of the project,
// for [Unknown]. Only Name is set.
func StackKeys() []Key {
	var keys []Key
	for name := range strings.FieldsSeq(stackKeys) {
		keys = append(keys, Key{Name: name})
	}
	return keys
}
