package secret

import "github.com/openclaw-security/bus/proto"

// shapes is the table. The forms are those that the issuers document for secret
// scanners
// (https://docs.github.com/en/code-security/secret-scanning/introduction/supported-secret-scanning-patterns);
// where those are stricter than what is redacted, only a match of the strict
// form is Sure.
func shapes() []Shape {
	const high, low, none = proto.SeverityHigh, proto.SeverityLow, proto.SeverityInfo
	var (
		aws    = []string{"amazonaws.com", "aws.amazon.com"}
		github = []string{"github.com", "githubusercontent.com"}
		google = []string{"googleapis.com", "google.com"}
	)
	return append([]Shape{
		// Model providers.
		{"an Anthropic key", high, []string{"anthropic.com"}, ModelKey, prefixes("sk-ant-"), run(wordDash, 8, 80)},
		{"an OpenAI key", high, []string{"openai.com"}, ModelKey, exact("sk-proj-", "sk-svcacct-", "sk-admin-", "T3BlbkFJ"), openAI},
		{"an OpenRouter key", high, []string{"openrouter.ai"}, ModelKey, prefixes("sk-or-"), run(wordDash, 8, 64)},
		{"a key that begins with sk-", high, nil, ModelKey, prefixes("sk-"), skKey},
		{"a Groq key", high, []string{"groq.com"}, ModelKey, prefixes("gsk_"), run(alnum, 20, 48)},
		{"an xAI key", high, []string{"x.ai"}, ModelKey, prefixes("xai-"), run(alnum, 20, 60)},
		{"a Perplexity key", high, []string{"perplexity.ai"}, ModelKey, prefixes("pplx-"), run(alnum, 20, 40)},
		{"a Replicate token", high, []string{"replicate.com"}, ModelKey, prefixes("r8_"), run(alnum, 20, 37)},
		{"a Hugging Face token", high, []string{"huggingface.co"}, ModelKey, prefixes("hf_", "api_org_"), run(alnum, 20, 34)},
		{"an ElevenLabs key", high, []string{"elevenlabs.io"}, ModelKey, prefixes("sk_"), only(hex, 48)},
		{"a Pinecone key", high, []string{"pinecone.io"}, ModelKey, prefixes("pcsk_"), run(word, 20, 50)},
		{"a LangSmith key", high, []string{"langchain.com"}, ModelKey, prefixes("lsv2_pt_", "lsv2_sk_"), run(word, 20, 40)},
		{"a Tavily key", high, []string{"tavily.com"}, ModelKey, prefixes("tvly-"), run(wordDash, 20, 28)},
		{"a Firecrawl key", high, []string{"firecrawl.dev"}, ModelKey, prefixes("fc-"), only(hex, 32)},
		{"a Brave Search key", high, []string{"search.brave.com"}, ModelKey, prefixes("BSA"), mixed(only(wordDash, 28))},

		// Code hosts, package registries, build services.
		{"a GitHub token", high, github, CloudKey, prefixes("ghp_", "gho_", "ghu_", "ghs_", "ghr_"), run(word, 16, 36)},
		{"a GitHub token", high, github, CloudKey, prefixes("github_pat_"), run(word, 16, 82)},
		{"a GitLab token", high, []string{"gitlab.com"}, CloudKey, prefixes("glpat-", "glrt-", "gldt-", "glptt-", "glft-", "glsoat-", "glcbt-", "glimt-", "glagent-", "gloas-", "glffct-"), run(wordDash, 16, 20)},
		{"an npm token", high, []string{"npmjs.org", "npmjs.com"}, CloudKey, prefixes("npm_"), run(alnum, 20, 36)},
		{"a PyPI token", high, []string{"pypi.org"}, CloudKey, prefixes("pypi-AgE"), run(wordDash, 16, 50)},
		{"a RubyGems key", high, []string{"rubygems.org"}, CloudKey, prefixes("rubygems_"), run(hex, 24, 48)},
		{"a Docker Hub token", high, []string{"docker.com", "docker.io"}, CloudKey, prefixes("dckr_pat_", "dckr_oat_"), run(wordDash, 20, 27)},
		{"an Atlassian token", high, []string{"atlassian.com", "atlassian.net", "bitbucket.org"}, CloudKey, prefixes("ATATT3x", "ATCTT3x", "ATBB"), mixed(run(wordDashEqual, 24, 32))},
		{"a JFrog token", high, []string{"jfrog.io"}, CloudKey, prefixes("AKCp", "cmVmdGtu"), mixed(run(alnum, 50, 56))},
		{"a Postman key", high, []string{"getpostman.com"}, CloudKey, prefixes("PMAK-"), run(wordDash, 40, 59)},
		{"a CircleCI token", high, []string{"circleci.com"}, CloudKey, prefixes("CCIPAT_"), run(word, 20, 40)},
		{"a Terraform token", high, []string{"terraform.io"}, CloudKey, exact(".atlasv1."), terraform},

		// Clouds and hosting.
		{"an AWS access key", high, aws, CloudKey, prefixes("AKIA", "ASIA", "ABIA", "ACCA"), awsKeyID},
		{"an AWS secret key", high, aws, CloudKey, folded("secret_access_key", "secretaccesskey", "secret-access-key"), awsSecret},
		{"an AWS secret key", high, aws, CloudKey, prefixes("AKIA", "ASIA"), awsPair},
		{"a Google API key", high, google, CloudKey, prefixes("AIza"), run(wordDash, 20, 35)},
		{"a Google OAuth secret", high, google, CloudKey, prefixes("GOCSPX-"), run(wordDash, 8, 28)},
		{"a Google OAuth secret", high, google, CloudKey, prefixes("ya29."), run(wordDashDot, 8, 30)},
		{"a Google OAuth secret", high, google, CloudKey, prefixes("1//0"), run(wordDash, 24, 38)},
		{"an Azure secret", high, []string{"microsoftonline.com", "azure.com"}, CloudKey, exact("Q~"), azureSecret},
		{"an Azure signature", high, []string{"windows.net"}, CloudKey, folded("sig=", "x-amz-signature=", "x-goog-signature="), signature},
		{"a DigitalOcean token", high, []string{"digitalocean.com"}, CloudKey, prefixes("dop_v1_", "doo_v1_", "dor_v1_"), run(hex, 32, 64)},
		{"a Cloudflare key", high, []string{"cloudflare.com"}, CloudKey, prefixes("v1.0-"), run(hexDash, 60, 171)},
		{"a Heroku key", high, []string{"heroku.com"}, CloudKey, prefixes("HRKU-"), run(wordDash, 24, 36)},
		{"a Fly.io token", high, []string{"fly.io"}, CloudKey, prefixes("fm1_", "fm2_", "fo1_"), run(base64Set, 40, 43)},
		{"a Supabase key", high, []string{"supabase.co", "supabase.com"}, CloudKey, prefixes("sbp_", "sb_secret_"), run(word, 20, 40)},
		{"a PlanetScale secret", high, []string{"planetscale.com"}, CloudKey, prefixes("pscale_tkn_", "pscale_pw_", "pscale_oauth_"), run(wordDashDot, 24, 32)},
		{"a Databricks token", high, []string{"databricks.com", "azuredatabricks.net"}, CloudKey, prefixes("dapi"), only(hex, 32)},
		{"a Tailscale key", high, []string{"tailscale.com"}, CloudKey, prefixes("tskey-"), run(wordDash, 16, 30)},
		{"a Grafana token", high, []string{"grafana.net", "grafana.com"}, CloudKey, prefixes("glsa_", "glc_"), run(word, 30, 41)},
		{"a Sentry token", high, []string{"sentry.io"}, CloudKey, prefixes("sntrys_", "sntryu_"), run(base64Set, 30, 60)},
		{"a New Relic key", high, []string{"newrelic.com"}, CloudKey, prefixes("NRAK-"), run(alnum, 20, 27)},
		{"a Dynatrace token", high, []string{"dynatrace.com"}, CloudKey, prefixes("dt0c01."), run(wordDashDot, 24, 89)},
		{"a Vault token", high, nil, CloudKey, prefixes("hvs.", "hvb.", "hvr."), run(wordDash, 20, 24)},
		{"a Doppler token", high, []string{"doppler.com"}, CloudKey, prefixes("dp.pt.", "dp.st.", "dp.ct.", "dp.sa.", "dp.scim.", "dp.audit."), run(wordDashDot, 20, 40)},
		{"a 1Password token", high, nil, CloudKey, prefixes("ops_eyJ"), run(base64Set, 40, 200)},

		// Chat, mail, payment and other services.
		{"a Slack token", high, []string{"slack.com"}, ServiceToken, prefixes("xoxb-", "xoxp-", "xoxa-", "xoxs-", "xoxr-", "xoxo-", "xoxc-", "xoxd-", "xoxe-", "xoxe.", "xapp-"), slack},
		{"a Slack webhook", high, []string{"slack.com"}, ServiceToken, folded("hooks.slack.com/"), slackWebhook},
		{"a Telegram bot token", high, []string{"api.telegram.org"}, ServiceToken, exact(":AA"), telegram},
		{"a Discord token", high, []string{"discord.com"}, ServiceToken, exact("."), discord},
		{"a Discord webhook", high, []string{"discord.com", "discordapp.com"}, ServiceToken, folded("/api/webhooks/"), discordWebhook},
		{"a Teams webhook", high, []string{"office.com"}, ServiceToken, folded("/webhookb2/"), after(urlPath, 60, 100)},
		{"a Matrix token", high, nil, ServiceToken, prefixes("syt_"), run(word, 24, 36)},
		{"a Twilio key", high, []string{"twilio.com"}, ServiceToken, prefixes("SK"), only(hex, 32)},
		{"a SendGrid key", high, []string{"sendgrid.com"}, ServiceToken, prefixes("SG."), sendGrid},
		{"a Mailgun key", high, []string{"mailgun.net"}, ServiceToken, prefixes("key-"), mailgun},
		{"a Mailchimp key", high, []string{"mailchimp.com"}, ServiceToken, exact("-us"), mailchimp},
		{"a Stripe key", high, []string{"stripe.com"}, ServiceToken, prefixes("sk_live_", "rk_live_"), run(word, 8, 20)},
		{"a Stripe test key", none, []string{"stripe.com"}, Other, prefixes("sk_test_", "rk_test_", "pk_test_", "pk_live_"), run(word, 8, 20)},
		{"a webhook's secret", high, []string{"stripe.com"}, ServiceToken, prefixes("whsec_"), run(base64Set, 8, 24)},
		{"a Square token", high, []string{"squareup.com"}, ServiceToken, prefixes("sq0atp-", "sq0csp-", "sq0idp-"), run(wordDash, 16, 22)},
		{"a Shopify token", high, []string{"myshopify.com", "shopify.com"}, ServiceToken, prefixes("shpat_", "shpss_", "shpca_", "shppa_"), run(hex, 20, 32)},
		{"a Notion token", high, []string{"notion.com"}, ServiceToken, prefixes("ntn_"), run(alnum, 24, 40)},
		{"a Linear key", high, []string{"linear.app"}, ServiceToken, prefixes("lin_api_", "lin_oauth_"), run(alnum, 20, 32)},
		{"a Figma token", high, []string{"figma.com"}, ServiceToken, prefixes("figd_"), run(wordDash, 20, 36)},

		// Keys of cryptography.
		{"a private key", high, nil, PrivateKey, exact("PRIVATE KEY"), pem},
		{"a private key", high, nil, PrivateKey, prefixes("LS0tLS1CRUdJTi"), encodedPEM},
		{"a private key", high, nil, PrivateKey, folded("private-lines:"), putty},
		{"an age key", high, nil, PrivateKey, prefixes("AGE-SECRET-KEY-1"), run(alnum, 20, 58)},
		{"a NATS seed", high, nil, NATSSeed, prefixes("SUA", "SAA", "SOA", "SNA", "SCA", "SXA"), only(base32, 55)},
		{"a JSON web token", high, nil, Other, prefixes("eyJ"), jwt},
		{"a password's hash", low, nil, Other, exact("$1$", "$5$", "$6$", "$y$", "$2a$", "$2b$", "$2y$", "$argon2"), run(cryptHash, 24, 50)},

		// What only the surroundings tell.
		{"a password in a URL", high, nil, ByContext, folded("://"), userinfo},
		{"a password", high, nil, ByContext, names("key", "token", "secret", "password", "passwd", "passphrase", "pass", "pwd", "credential", "credentials", "auth"), assigned},
		{"a password", high, nil, ByContext, folded(":5432:"), pgpass},
		{"a user and password", low, nil, ByContext, folded("-u", "--user", "-user", "-auth"), userOption},
		{"an Authorization header", low, nil, ByContext, folded("authorization"), authorization},
		{"a bearer token", low, nil, ByContext, folded("bearer", "basic"), bearer},
		{"a cookie", low, nil, ByContext, folded("cookie"), cookie},
		{base64Shape, none, nil, ByContext, names("payload", "packet", "_body"), encoded},
	}, passwordOptionShapes()...)
}
