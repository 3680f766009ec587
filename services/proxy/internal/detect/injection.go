package detect

import (
	"regexp"

	"github.com/openclaw-security/bus/proto"
)

// injectionReach is how far an order can be from its keyword.
var injectionReach = reach{before: 200, after: 400}

// injectionSignatures look for orders to the model. They count only in what a tool
// answered, in data, and where an API has no role for a text: a user may well
// tell the model to forget what was said.
func injectionSignatures() []signature {
	marker := func(detail, pattern string, keywords ...string) signature {
		p := signature{rule: InjectionMarker, severity: proto.SeverityMedium, detail: detail, keywords: keywords, foreign: true}
		if pattern != "" {
			p.pattern = regexp.MustCompile(pattern)
		}
		return p
	}
	tokens := marker("a model's control token", "",
		"<|im_start|>", "<|im_end|>", "<|system|>", "<|assistant|>", "<|eot_id|>", "<|start_header_id|>", "<|endofprompt|>",
		"[INST]", "[/INST]", "<<SYS>>", "<start_of_turn>")
	tokens.exact = true
	turns := marker("a made-up turn of the conversation", `(?:\A|\n)[ \t]*\r?\n[ \t]*(?:Human|Assistant):[ \t]*\S`, "\n\nhuman:", "\n\nassistant:")

	return []signature{
		tokens,
		turns,
		// What is within a window is near enough: counted repetitions would cost
		// a state for each count.
		marker("an order to set instructions aside",
			`(?i)\b(?:ignore|disregard|forget|override)\s+(?:\w+\s+){0,3}?(?:previous|prior|above|earlier|preceding|former|other|all|any|your|system|original)\b[^.!?,;]*?\b(?:instruction|prompt|guideline|directive)`,
			"instruction", "prompt", "guideline", "directive"),
		marker("instructions said to be new",
			`(?i)\b(?:new|updated|revised|real|actual)\s+(?:system\s+)?(?:instructions?|prompt)\s*(?:from\s+(?:the\s+)?(?:user|system|developer|admin\w*|anthropic|openai)|:)`,
			"instruction", "prompt"),
		marker("an order to keep something from the user",
			`(?i)\b(?:do\s+not|don'?t|never|without)\s+(?:ever\s+)?(?:tell|inform|alert|notify|mention|reveal|show|telling|informing|alerting|notifying|mentioning|revealing|showing)\s+(?:(?:this|that|it|anything|any\s+of\s+this)\s+(?:\w+\s+){0,2}?(?:to\s+)?)?(?:the\s+)?user\b`,
			" the user", " to user", "tell user", "inform user", "notify user", "alert user"),
		marker("words to any model that reads it",
			`(?i)\bif\s+you(?:'re|\s+are)\s+(?:an?\s+)?(?:ai|llm|large\s+language\s+model|language\s+model|chatbot)\b`,
			"if you are", "if you're"),
		marker("a new part for the model",
			`(?i)\byou\s+are\s+now\s+(?:in\s+)?(?:an?\s+|the\s+)?(?:dan|developer\s+mode|debug\s+mode|god\s+mode|jailbroken|unrestricted|unfiltered|no\s+longer)\b|\bfrom\s+now\s+on,?\s+you\s+(?:are|will|must)\b`,
			"you are now", "from now on"),
		marker("a made-up system message",
			`(?i)</?system[_-](?:prompt|message|override|instructions?)>|\[\s*system\s+(?:override|message|prompt)\s*\]|(?:\A|\n)\s*#{2,}\s*system\s*(?:prompt|message|override)?\s*:`,
			"system_", "system-", "system message]", "system override]", "system prompt]", "# system", "#system"),
		marker("an image whose address is to be filled in",
			`!\[[^\]\n]*\]\(\s*<?https?://[^)\s]*[?&][\w-]+=[^)\s]*?(?:\{|%7[bB]|\[|<[A-Za-z])`,
			"]("),
	}
}
