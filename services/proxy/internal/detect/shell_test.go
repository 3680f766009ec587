package detect

import "testing"

func TestShellText(t *testing.T) {
	tests := map[string]struct{ text, want string }{
		"plain":            {"ls -la", "ls -la"},
		"case":             {"LS É", "ls É"},
		"quotes":           {`l"s" '-l'a`, "ls -la"},
		"spaces":           {"ls \t  -la", "ls -la"},
		"lines":            {"a\nb", "a\nb"},
		"continued":        {"a \\\n b", "a b"},
		"pipe at the end":  {"a |\n\n b &&\nc", "a | b && c"},
		"pipe, then next":  {"a |" + member + "b", "a |" + member + "b"},
		"IFS":              {"a${IFS}b$IFS$9c${IFS%?}d", "a b c d"},
		"variables":        {"$HOME/${USER}/$1$@", "$home/$user/"},
		"inside a word":    {"cu${x}rl", "curl"},
		"escapes":          {`\x63\143\u0063\c`, "cccc"},
		"backquotes":       {"`id`", "$(id$("},
		"dollar":           {"$ $", "$ $"},
		"endless variable": {"${abc", "${abc"},
		"base64":           {"ZWNobyBoZWxsbyB3b3JsZA==", "zwnobybozwxsbyb3b3jsza==\necho hello world"},
		"base64 for URLs":  {"aHR0cDovL3g_YT1iJmM9ZA", "ahr0cdovl3g_yt1ijmm9za\nhttp://x?a=b&c=d"},
		"hex":              {"6563686f2068656c6c6f", "6563686f2068656c6c6f\necho hello"},
		"no text":          {"iVBORw0KGgoAAAANSUhEUg", "ivborw0kggoaaaansuheug"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := string(shellText(nil, []byte(test.text))); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
