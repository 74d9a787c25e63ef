// SPDX-License-Identifier: Apache-2.0
// `java lab.SpringAi SCENARIO`: a Spring Boot application asks its agent. A line on standard input cancels the run.
// Standard output has a line for each call of the tool, then what the user is told: the answer or the error's name.
package lab;

import io.micrometer.observation.Observation;
import io.micrometer.observation.ObservationHandler;
import java.io.IOException;
import java.util.Map;
import java.util.concurrent.Phaser;
import org.springframework.ai.chat.client.ChatClient;
import org.springframework.ai.tool.annotation.Tool;
import org.springframework.boot.WebApplicationType;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.boot.builder.SpringApplicationBuilder;
import org.springframework.context.annotation.Bean;

@SpringBootApplication(proxyBeanMethods = false)
public class SpringAi {
  // What an application has in its `application.properties`; where to ask and to send spans, the environment says.
  private static final Map<String, Object> PROPERTIES =
      Map.of(
          "logging.level.root", "off",
          "management.tracing.sampling.probability", "1.0",
          "spring.ai.openai.chat.options.model", "gpt-4o-mini",
          "spring.ai.retry.max-attempts", "1",
          "spring.main.banner-mode", "off");

  static class Tools {
    @Tool(description = "The weather in a city")
    String forecast(String city) {
      System.out.println("forecast of " + city);
      return "Sunny in " + city;
    }
  }

  // What is open: the spans of a stream end after its user has had the last word. A server goes on anyway.
  static class Open implements ObservationHandler<Observation.Context> {
    private final Phaser open = new Phaser(1);

    @Override
    public boolean supportsContext(Observation.Context context) {
      return true;
    }

    @Override
    public void onStart(Observation.Context context) {
      open.register();
    }

    @Override
    public void onStop(Observation.Context context) {
      open.arriveAndDeregister();
    }

    void awaitEnd() {
      open.arriveAndAwaitAdvance();
    }
  }

  @Bean
  Open open() {
    return new Open();
  }

  public static void main(String[] arguments) {
    var application = new SpringApplicationBuilder(SpringAi.class).web(WebApplicationType.NONE);
    // What is left to be sent is sent as the context closes.
    try (var context = application.properties(PROPERTIES).run()) {
      var agent = context.getBean(ChatClient.Builder.class).build();
      interruptWhenTold(Thread.currentThread());
      System.out.println(ask(agent, arguments[0].equals("streamed")));
      context.getBean(Open.class).awaitEnd();
    }
  }

  private static String ask(ChatClient agent, boolean isStreamed) {
    var request = agent.prompt("What is the weather in Paris?").tools(new Tools());
    try {
      if (isStreamed) {
        return String.join("", request.stream().content().collectList().block());
      }
      return request.call().content();
    } catch (RuntimeException error) {
      // What cancelled the run is over.
      Thread.interrupted();
      return error.getClass().getSimpleName();
    }
  }

  private static void interruptWhenTold(Thread worker) {
    var listener =
        new Thread(
            () -> {
              try {
                if (System.in.read() >= 0) {
                  worker.interrupt();
                }
              } catch (IOException error) {
                worker.interrupt();
              }
            });
    listener.setDaemon(true);
    listener.start();
  }
}
